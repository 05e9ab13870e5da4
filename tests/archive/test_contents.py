"""What an archive of a finished run holds, and what it leaves out."""

import json
import zipfile

import pytest
import yaml

from pcpo.config import load_experiment
from tests.archive.finished import FIGURE, NAMES, P, pack


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
    expected |= {f"{P.figure.format(figure=FIGURE)}.{s}" for s in ("pdf", "png", "svg", "md")}
    expected |= {f"{P.table.format(table='table9')}.{s}" for s in ("csv", "md", "tex")}
    expected |= {P.compare, P.report, P.credit, P.readings, f"{P.claims}.csv", f"{P.claims}.md"}
    expected |= {P.alignment.format(experiment=NAMES[1], seed=0), f"{P.root}/world/rewards.csv"}
    expected |= {p.format(experiment=n, seed=0) for p in (P.selection, P.overall) for n in NAMES}
    expected |= {f"{P.root}/{kind}" for kind in ("logs/table/table9.log",)}
    expected |= {f"{P.root}/provenance/train/04_ddpo_bertscore_pcpo_0.json"}
    expected |= {"Snakefile", "rules/train.smk", "requirements.lock", "envs/report.yaml"}
    expected |= {"pcpo/training.py", "pcpo/report/templates/page.html"}
    expected |= {"config/scale/smoke.yaml", "config/paper/table9.csv", "config/claims.yaml"}
    expected |= {"archive.json", "manifest-sha256.txt", "ro-crate-metadata.json"}
    assert expected <= names


def test_no_weights_states_features_or_tables_of_other_experiments(run, names):
    left = {p.relative_to(run).as_posix() for p in run.rglob("*") if p.is_file()} - names
    assert {n for n in left if not n.endswith(".safetensors")} == {f"{P.root}/tables/table1.csv"}
    assert len(left) == 1 + 2 * len(NAMES) * 2 + 2  # weights and states of two arms; world, prompts
    assert not [n for n in names if n.endswith((".safetensors", ".npy", ".pyc"))]


def test_the_resolved_configuration_says_what_was_run(packed):
    with zipfile.ZipFile(packed) as archive:
        about = json.loads(archive.read("archive.json"))
        told = yaml.safe_load(archive.read(f"{P.root}/configurations/{NAMES[0]}.yaml"))
    assert about == {"format": 1, "scale": "smoke", "experiments": list(NAMES), "seeds": [0]}
    experiment = load_experiment(NAMES[0], "smoke")
    assert told["digest"] == experiment.digest()
    assert told["experiment"]["epochs"] == experiment.epochs == 2
    assert told["arms"]["pcpo"]["objective"] == "log_hinge"


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
