"""Going on from an archive: its runs count as finished, and no file of the user is overwritten."""

import os
import shutil

import pytest

from pcpo.archive.bundle import open_archive
from pcpo.archive.continued import add
from pcpo.config import files, load_experiment, load_scale
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
    arms = sum(len(load_experiment(e, opened.scale).arms) for e in opened.experiments)
    code, output = snakemake(models, *_options(opened))
    assert code == 0, output
    assert jobs(output)["train"] == arms * len(opened.seeds)
    found = add(opened, models / "results")
    assert len({file.stat().st_mtime for file in found}) == 1
    code, output = snakemake(models, *_options(opened))
    assert code == 0, output
    assert not {"train", "gradients"} & set(jobs(output))
    code, output = snakemake(models, *_options(opened, 99))
    assert jobs(output)["train"] == arms


def test_without_its_model_and_over_another_file_nothing_is_copied(opened, tmp_path, monkeypatch):
    results = tmp_path / "results"
    with pytest.raises(ValueError, match="make the base models and rewards first"):
        add(opened, results)
    assert not results.exists()
    for source in load_scale(opened.scale).models.values():
        (tmp_path / source.path).mkdir(parents=True, exist_ok=True)
        (tmp_path / source.path / "model_index.json").write_text("{}")
    frame = next((opened.folder / "results").rglob("updates.parquet"))
    mine = results / frame.relative_to(opened.folder / "results")
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(ValueError, match=r"updates.parquet: another file is there already"):
        add(opened, results)
    assert mine.read_text() == "mine"
    assert [*results.rglob("*.parquet")] == [mine]


def test_runs_of_other_settings_are_not_added(opened, tmp_path):
    """The archive's own configuration, changed after it was unpacked."""
    changed = tmp_path / "opened"
    shutil.copytree(opened.folder, changed)
    scale = changed / "config" / "scale" / "study2.yaml"
    text = scale.read_text()
    assert "    epochs: 30 " in text
    scale.write_text(text.replace("    epochs: 30 ", "    epochs: 31 "))
    other = type(opened)(opened.name, changed, opened.scale, opened.experiments, opened.seeds)
    with pytest.raises(ValueError, match=r"epochs of 01_ddpo_aesthetic_half differs from this"):
        add(other, tmp_path / "results")
    assert files.VARIABLE not in os.environ  # commands started later read this checkout's


def test_an_archive_with_measured_images_is_refused(tmp_path):
    first = open_archive(STUDIES / "small-1-steps-50.zip", tmp_path / "bundles")
    with pytest.raises(ValueError, match=r"01_ddpo_aesthetic_half: images of it are measured"):
        add(first, tmp_path / "results")
