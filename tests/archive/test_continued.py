"""Going on from an archive: its runs count as finished, and no file of the user is overwritten."""

import os
import shutil
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pcpo.archive import continued
from pcpo.archive.bundle import open_archive
from pcpo.archive.continued import add
from pcpo.config import files, load_experiment, load_scale
from pcpo.records import frame_file, frames
from pcpo.records.lock import alone
from pcpo.records.replace import new_file
from pcpo.training.set_aside import LOCK
from pcpo.workflow import inputs
from tests.system.pipeline import ROOT, copy_sources, jobs, snakemake

STUDIES = ROOT / "studies"


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    """The second study: none of its images is measured."""
    return open_archive(STUDIES / "small-2.zip", tmp_path_factory.mktemp("bundles"))


@pytest.fixture
def models(opened, tmp_path):
    """A workflow's folder with empty files in the places of what the workflow would make first."""
    copy_sources(tmp_path)
    for file in _wanted(tmp_path, opened):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('a circle that says "Hello"\n')  # a file of prompts is read
    return tmp_path


def _options(opened, *seeds):
    chosen = ",".join(str(seed) for seed in (*opened.seeds, *seeds))
    numbers = ",".join(str(load_experiment(e, opened.scale).number) for e in opened.experiments)
    config = [f"scale={opened.scale}", f"seeds=[{chosen}]", f"experiments=[{numbers}]"]
    return ["-n", "--config", *config]


def _wanted(folder, opened):
    """The outputs of the rules that make base models and rewards, by Snakemake's own account."""
    code, output = snakemake(folder, *_options(opened), "--detailed-summary")
    assert code == 0, output
    rows = [line.split("\t") for line in output.splitlines() if "\t" in line]
    rule = rows[0].index("rule")
    return [folder / row[0] for row in rows[1:] if row[rule].startswith(("synthetic_", "prompt"))]


def test_its_runs_are_not_trained_again_and_those_of_a_new_seed_are(opened, models):
    experiments = [load_experiment(name, opened.scale) for name in opened.experiments]
    every, more = (
        # The grid has two seeds at most.
        sum(len(e.arms) * len(e.training_seeds(seeds)) for e in experiments)
        for seeds in (opened.seeds, [*opened.seeds, 99])
    )
    theirs = {*opened.folder.rglob("seed*/checkpoints.csv")}
    assert more > every == len(theirs) == 476
    code, output = snakemake(models, *_options(opened))
    assert code == 0, output
    assert jobs(output)["train"] == every
    add(opened, models / "results")
    code, output = snakemake(models, *_options(opened))
    assert code == 0, output
    assert "train" not in jobs(output)
    code, output = snakemake(models, *_options(opened, 99))
    assert jobs(output)["train"] == more - every


@pytest.fixture
def results(opened, tmp_path):
    """A folder of results with empty files in the places of what the trainings read."""
    scale = load_scale(opened.scale)
    for name in opened.experiments:
        e = load_experiment(name, scale.name)
        for file in (
            *inputs.model_files(scale, e),
            *inputs.prompt_files(scale, inputs.training_prompts(e)),
            *inputs.reward_files(scale, [e.reward.name]),
        ):
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
    return tmp_path / "results"


@pytest.fixture
def few(opened):
    """Of the smallest experiment and its first seed alone: what else the folder has is ignored."""
    return replace(opened, experiments=("11_early_layout",), seeds=(0,))


@pytest.fixture
def changed(few, tmp_path):
    """The same in a folder of its own, to be changed."""
    shutil.copytree(few.folder / "config", tmp_path / "opened/config")
    runs = f"results/{few.scale}/runs/{few.experiments[0]}"
    shutil.copytree(few.folder / runs, tmp_path / "opened" / runs)
    return replace(few, folder=tmp_path / "opened")


def frame(folder, name="updates"):
    place = "runs/11_early_layout/matching/seed0"
    return folder / "study2" / place / f"{name}.parquet"


def copied(results):
    return [path for path in (results / "study2" / "runs").rglob("*") if path.is_file()]


def test_only_the_files_of_its_runs_are_copied(few, results):
    arms = len(load_experiment(few.experiments[0], few.scale).arms)
    add(few, results)
    names = {path.name for path in copied(results)}
    assert names == {
        *("updates.parquet", "timesteps.parquet", "validation.parquet"),
        *("checkpoints.csv", "history.jsonl"),
    }
    assert len(copied(results)) == 5 * arms
    logs = [path.stem for path in (results / "study2/logs").rglob("*.log")]
    assert len(logs) == arms and all(stem.endswith("_0") for stem in logs)


@pytest.mark.parametrize("lacking", ["sd35m", "rewards/ocr", "prompts"])
def test_without_what_its_trainings_read_nothing_is_copied(opened, results, lacking):
    """Snakemake would make it later, and then train again."""
    few = replace(opened, experiments=("08_flowgrpo_ocr",))
    shutil.rmtree(results / "study2" / "synthetic" / lacking)
    with pytest.raises(ValueError, match=f"{lacking}/.* is missing: make base models"):
        add(few, results)
    assert not (results / "study2" / "runs").exists()


def test_files_of_the_user_are_kept(few, results, tmp_path):
    mine = frame(results)
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(ValueError, match=r"updates.parquet: another file is there already"):
        add(few, results)
    assert mine.read_text() == "mine" and copied(results) == [mine]
    mine.unlink()
    mine.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r"updates.parquet: another file is there already"):
        add(few, results)
    assert not (tmp_path / "elsewhere").exists()
    mine.unlink()
    (mine.parent / "resume").mkdir()
    with pytest.raises(ValueError, match=r"resume: a training of your own is there"):
        add(few, results)
    (mine.parent / "resume").rmdir()
    with alone(mine.parent / LOCK), pytest.raises(ValueError, match="trains this run"):
        add(few, results)
    mine.parent.with_name("seed1").write_text("")
    log = results / "study2/logs/train/11_early_layout_matching_0.log"
    log.parent.mkdir(parents=True)
    log.write_text("mine")
    add(few, results)
    assert log.read_text() == "mine"


def test_an_interrupted_copy_is_completed(few, results, monkeypatch):
    calls = []

    @contextmanager
    def stops(path, tidy=True):
        calls.append(path)
        if len(calls) == 8:
            raise KeyboardInterrupt
        with new_file(path, tidy) as part:
            yield part

    monkeypatch.setattr(continued, "new_file", stops)
    with pytest.raises(KeyboardInterrupt):
        add(few, results)
    monkeypatch.undo()
    assert copied(results)
    for path in add(few, results):
        source = few.folder / "results" / path.relative_to(results)
        assert path.read_bytes() == source.read_bytes()


def cut(path):
    rows = pd.read_parquet(path)
    return rows[rows["epoch"] <= 5]


def without_a_number(path):
    return pd.read_parquet(path).assign(reward_mean=np.nan)


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("updates", cut, "has not the epochs 1 to 30"),
        ("timesteps", cut, "has not the epochs 1 to 30"),
        ("validation", cut, "lacks an epoch of the validation"),
        ("validation", without_a_number, "a mean reward that is no number"),
    ],
)
def test_a_run_that_is_not_complete_is_refused(changed, results, name, rows, message):
    path = frame(changed.folder / "results", name)
    run = {"experiment": "11_early_layout", "arm": "matching", "seed": 0}
    frame_file.write(rows(path), frames.BY_NAME[name], path, changed.scale, **run)
    with pytest.raises(ValueError, match=rf"{name}.parquet: .*{message}"):
        add(changed, results)
    assert not (results / "study2" / "runs").exists()


def test_damaged_missing_and_exchanged_files_are_refused(changed, results):
    own = changed.folder / "results"
    other = frame(own).parents[2] / "reweight/seed0/updates.parquet"
    whole, manifest = frame(own).read_bytes(), frame(own).with_name("checkpoints.csv")
    for data, message in (
        (b"garbage", "cannot be read"),
        (other.read_bytes(), "is of arm 'reweight'"),
    ):
        frame(own).write_bytes(data)
        with pytest.raises(ValueError, match=message):
            add(changed, results)
    frame(own).unlink()
    with pytest.raises(ValueError, match=r"updates.parquet: is missing"):
        add(changed, results)
    frame(own).write_bytes(whole)
    manifest.write_text(manifest.read_text().replace("checkpoints/epoch_00030", "/etc"))
    with pytest.raises(ValueError, match=r"checkpoints.csv: is not the list of checkpoints"):
        add(changed, results)
    assert not (results / "study2" / "runs").exists()


@pytest.mark.parametrize(
    ("file", "old", "new", "key"),
    [
        (
            "scale/study2.yaml",
            "    epochs: 30 ",
            "    epochs: 31 ",
            "11_.*epochs was 31",
        ),
        ("arms.yaml", "loss_factor: 10", "loss_factor: 11", ""),
        ("arms.yaml", "\nreweight:\n", "\nreweight:\n  loss_factor: 3\n", "arms.reweight"),
    ],
)
def test_runs_of_other_settings_are_not_added(changed, results, file, old, new, key):
    """The archive's own configuration, changed after it was unpacked."""
    path = changed.folder / "config" / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    if key:
        with pytest.raises(ValueError, match=f"other settings than this checkout's .{key}"):
            add(changed, results)
    else:  # of an arm that no run of it has
        add(changed, results)
    assert files.VARIABLE not in os.environ  # commands started later read this checkout's


def test_an_archive_with_measured_images_is_refused(tmp_path):
    first = open_archive(STUDIES / "small-1-steps-50.zip", tmp_path / "bundles")
    with pytest.raises(ValueError, match=r"01_ddpo_aesthetic_half: images of it are measured"):
        add(first, tmp_path / "results")
