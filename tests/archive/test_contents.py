"""What an archive of a finished run holds, and what it leaves out."""

import json
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml

from pcpo.archive import contents as packing
from pcpo.archive.anonymous import without_folders
from pcpo.archive.bundle import FORMAT
from pcpo.config import files, load_experiment
from pcpo.records.strip_files import MOST, strip_file
from tests.archive.finished import FIGURE, NAMES, PICTURED, PREVIEWS, P, pack, text
from tests.system.pipeline import copy_sources


@pytest.fixture(scope="module")
def packed(run, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(run)
        return pack(tmp_path_factory.mktemp("packed") / "archive.zip")


@pytest.fixture(scope="module")
def names(packed):
    with zipfile.ZipFile(packed) as archive:
        return set(archive.namelist())


def test_everything_small_is_there(names):
    run = P.run.format(experiment=NAMES[0], arm="pcpo", seed=0)
    of_run = ("checkpoints.csv", "updates.parquet", "timesteps.parquet", "validation.parquet")
    expected = {f"{run}/{file}" for file in (*of_run, "history.jsonl")}
    expected |= {
        f"{P.figure.format(figure=FIGURE)}.{s}" for s in ("pdf", "png", "svg", "md", "json")
    }
    expected |= {f"{P.table.format(table='table9')}.{s}" for s in ("csv", "md", "tex", "json")}
    expected |= {P.compare, P.report, P.credit, P.readings, f"{P.claims}.csv", f"{P.claims}.md"}
    expected |= {f"{P.questions}.csv", f"{P.questions}.md"}
    expected |= {P.reward_guidance.format(experiment=NAMES[2], seed=0)}
    expected |= {P.alignment.format(experiment=NAMES[1], seed=0), f"{P.root}/synthetic/rewards.csv"}
    expected |= {p.format(experiment=n, seed=0) for p in (P.selection, P.overall) for n in NAMES}
    expected |= {f"{P.root}/{kind}" for kind in ("logs/table/table9.log",)}
    expected |= {f"{P.root}/provenance/train/04_ddpo_bertscore_pcpo_0.json"}
    expected |= {"Snakefile", "rules/train.smk", "requirements.lock", "envs/report.yaml"}
    expected |= {"pcpo/training/loop.py", "pcpo/report/templates/page.html"}
    expected |= {"config/scale/smoke.yaml", "config/paper/table9.csv", "config/claims.yaml"}
    expected |= {"archive.json", "manifest-sha256.txt", "ro-crate-metadata.json"}
    assert expected <= names


def test_training_in_pictures_is_there_with_the_previews_that_it_shows(names):
    """Of the experiment whose runs have any."""
    place = {"experiment": PICTURED, "seed": 0}
    drawn = {P.picture_file.format(suffix=s, **place) for s in ("png", "md", "json")}
    assert {name for name in names if "/pictures/" in name} == drawn
    for arm in ("baseline", "pcpo"):
        run = Path(P.run.format(arm=arm, **place))
        own = [n for n in range(PREVIEWS) if strip_file(run, n).as_posix() in names]
        assert len(own) == MOST and own[0] == 0 and own[-1] == PREVIEWS - 1
    assert len([name for name in names if "/previews/" in name]) == 2 * MOST


def test_what_lies_elsewhere_is_packed_like_what_lies_in_place(run, names, tmp_path, monkeypatch):
    """results/ and the folders in it may be links to another disk."""
    elsewhere, place = tmp_path / "elsewhere", tmp_path / "place"
    shutil.copytree(run / "results", elsewhere)
    place.mkdir()
    (place / "results").symlink_to(elsewhere)
    for number, name in enumerate(("logs/table", "provenance", "runs", "images", "tidy")):
        folder = place / P.root / name
        moved = folder.rename(tmp_path / f"moved{number}")
        folder.symlink_to(moved)
    monkeypatch.chdir(place)
    with zipfile.ZipFile(pack(tmp_path / "archive.zip")) as archive:
        assert set(archive.namelist()) == names


def test_records_of_another_configuration_stay(run, names, tmp_path, monkeypatch):
    """Of a part of a run: it has no frames of that configuration either."""
    monkeypatch.chdir(run)
    other = Path(f"{P.root}/logs/train/06_dancegrpo_flux_hps_pcpo_0.log")
    other.parent.mkdir(parents=True, exist_ok=True)
    other.write_text("done")
    try:
        with zipfile.ZipFile(pack(tmp_path / "archive.zip")) as archive:
            assert set(archive.namelist()) == names
    finally:
        other.unlink()


def test_a_damaged_preview_is_not_packed(run, tmp_path, monkeypatch):
    monkeypatch.chdir(run)
    strip = strip_file(Path(P.run.format(experiment=PICTURED, arm="pcpo", seed=0)), 0)
    whole = strip.read_bytes()
    strip.write_bytes(whole[:60])
    try:
        with pytest.raises(ValueError, match=f"{strip}: a damaged preview"):
            pack(tmp_path / "archive.zip")
    finally:
        strip.write_bytes(whole)


@pytest.mark.parametrize("how", ["flipped", "of another arm"])
def test_a_damaged_frame_is_not_packed(run, tmp_path, monkeypatch, how):
    monkeypatch.chdir(run)
    place = {"experiment": NAMES[0], "seed": 0}
    frame = Path(P.updates.format(arm="pcpo", **place))
    whole = frame.read_bytes()
    changed = bytearray(whole)
    changed[100] ^= 1
    if how == "of another arm":
        changed = Path(P.updates.format(arm="baseline", **place)).read_bytes()
    frame.write_bytes(changed)
    try:
        with pytest.raises(ValueError, match=f"{frame}: "):
            pack(tmp_path / "archive.zip")
    finally:
        frame.write_bytes(whole)
    assert not list(tmp_path.iterdir())


def test_no_weights_states_features_or_tables_of_other_experiments(run, names):
    left = {p.relative_to(run).as_posix() for p in run.rglob("*") if p.is_file()} - names
    left -= {name for name in left if "/previews/" in name or "/pictures/" in name}
    assert {n for n in left if not n.endswith(".safetensors")} == {f"{P.root}/tables/table1.csv"}
    # weights and states of two arms; weights and prompts of the synthetic data
    assert len(left) == 1 + 2 * len(NAMES) * 2 + 2
    assert not [n for n in names if n.endswith((".safetensors", ".npy", ".pyc"))]


def test_the_resolved_configuration_says_what_was_run(packed):
    with zipfile.ZipFile(packed) as archive:
        about = json.loads(archive.read("archive.json"))
        settings = yaml.safe_load(archive.read(f"{P.root}/configurations/{NAMES[0]}.yaml"))
    assert about == {"format": FORMAT, "scale": "smoke", "experiments": list(NAMES), "seeds": [0]}
    experiment = load_experiment(NAMES[0], "smoke")
    assert settings["digest"] == experiment.digest()
    assert settings["experiment"]["epochs"] == experiment.epochs == 2
    assert settings["arms"]["pcpo"]["objective"] == "log_hinge"


def test_made_again_it_is_the_same_though_there_is_a_record_of_the_first(
    run, packed, tmp_path, monkeypatch
):
    monkeypatch.chdir(run)
    (run / P.root / "provenance" / "archive").mkdir()
    (run / P.root / "provenance" / "archive" / "log.json").write_text("{}")
    assert pack(tmp_path / "again.zip").read_bytes() == packed.read_bytes()


@pytest.mark.parametrize(
    "gone", [P.credit, f"{P.table.format(table='table9')}.tex", f"{P.claims}.md"]
)
def test_a_missing_file_is_named(run, tmp_path, monkeypatch, gone):
    monkeypatch.chdir(run)
    file = run / gone
    file.rename(tmp_path / "kept")
    try:
        with pytest.raises(FileNotFoundError, match=f"{gone} is missing"):
            pack(tmp_path / "archive.zip")
    finally:
        (tmp_path / "kept").rename(file)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("tracked", [True, False], ids=["git", "no git"])
def test_only_what_belongs_to_the_repository_and_the_run_is_packed(
    run, tmp_path, monkeypatch, tracked
):
    """A secret beside the configuration, a site's profile, a module that was never added."""
    checkout = copy_sources(tmp_path / "checkout")
    mine = checkout / "config" / "experiments" / f"{NAMES[0]}.yaml"
    original = mine.read_text()
    mine.unlink()
    if tracked:
        for words in (["init", "-q"], ["add", "."]):
            subprocess.run(["git", "-C", checkout, *words], check=True)
    mine.write_text(original)  # of the run, though git does not know it
    scale = checkout / "config/scale/smoke.yaml"
    scale.write_text(scale.read_text().replace("questions: questions", "questions: mine"))
    shutil.copy(checkout / "config/questions.yaml", checkout / "config/mine.yaml")
    for name in (
        *("config/secret.yaml", "config/experiments/.swap", "config/notes/token.txt"),
        *("profiles/mine/config.yaml", "pcpo/rewards/mine.txt", "envs/.env"),
    ):
        text(checkout / name, "a secret")
    text(checkout / "pcpo/rewards/mine.py", "a secret")
    text(checkout / "config/scale/other.yaml", "a secret")
    monkeypatch.chdir(run)
    monkeypatch.setattr(packing, "REPOSITORY", checkout)
    monkeypatch.setattr(files, "CONFIG", checkout / "config")
    with zipfile.ZipFile(pack(tmp_path / "archive.zip")) as archive:
        names = set(archive.namelist())
        secret = {name for name in names if b"a secret" in archive.read(name)}
    assert {f"config/experiments/{name}.yaml" for name in NAMES} <= names
    assert "config/mine.yaml" in names
    assert {"config/scale/smoke.yaml", "config/scale/demo.yaml", "pcpo/training/loop.py"} <= names
    assert not any(name.startswith("profiles/") for name in names)
    # Without git nobody says which module belongs to the package.
    assert secret == (set() if tracked else {"pcpo/rewards/mine.py", "config/scale/other.yaml"})
    left = packing.left_out(names)
    assert left == (["config/scale/other.yaml", "pcpo/rewards/mine.py"] if tracked else [])


HOST = "node17.cluster.example"


def test_records_are_without_hosts_and_folders(run, tmp_path, monkeypatch):
    monkeypatch.chdir(run)
    record = run / P.root / "provenance" / "table" / "table9.json"
    log = run / P.root / "logs" / "table" / "table9.log"
    kept = {file: file.read_text() for file in (record, log)}
    step = json.loads(kept[record])
    step |= {
        "process": f"process 12 on {HOST} (Slurm job 3)",
        "python": "/opt/team/bin/python",
    }
    step["command"] += ["--published", f"{run}/config/paper"]
    record.write_text(json.dumps(step))
    log.write_text(f"{HOST}: {run}/x.csv, /scratch/team/sd15/unet.bin, https://a.b/c/d, 3/4\n")
    try:
        with zipfile.ZipFile(pack(tmp_path / "archive.zip")) as archive:
            whole = {
                name: archive.read(name).decode("utf-8", "replace")
                for name in archive.namelist()
                if name.endswith((".json", ".jsonl", ".log"))
            }
    finally:
        for file, content in kept.items():
            file.write_text(content)
    packed = json.loads(whole[record.relative_to(run).as_posix()])
    assert packed["process"] == "process 12 on host1 (Slurm job 3)"
    assert packed["python"] == ".../python"
    assert packed["command"][-1] == "./config/paper"
    shown = whole[log.relative_to(run).as_posix()]
    assert shown == "host1: ./x.csv, .../unet.bin, https://a.b/c/d, 3/4\n"
    for name, content in whole.items():
        assert HOST not in content and str(run) not in content and "/opt/team" not in content, name


def test_a_folder_with_spaces_and_accents_is_left_out_too(tmp_path, monkeypatch):
    folder = tmp_path / "Jörg's clone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for packed_text in (str(folder), json.dumps(str(folder))):
        assert "clone" not in without_folders(f"read {packed_text}/x".encode()).decode()
    assert without_folders(b"speed 3 /s, a/b/c, https://x.y/z/, /") == (
        b"speed 3 /s, a/b/c, https://x.y/z/, /"
    )
