"""Of which experiments there is a training in pictures."""

import pytest

from pcpo.config import load_experiment, load_scale
from pcpo.paths import Paths
from pcpo.records.strip_files import strip_file
from pcpo.workflow.targets import Targets

NAMES = ("04_ddpo_bertscore", "07_dancegrpo_sd15_pickscore")


def pictured(scale, home=""):
    experiments = {name: load_experiment(name, scale) for name in NAMES}
    return Targets(load_scale(scale), experiments, [3, 5], Paths(scale, home)).picture_files()


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def preview(folder, scale, seed):
    run = Paths(scale).run.format(experiment=NAMES[1], arm="pcpo", seed=seed)
    path = strip_file(folder / run, 8)
    path.parent.mkdir(parents=True)
    path.touch()


def test_a_scale_that_draws_previews_has_one_of_every_experiment(here):
    place = Paths("smoke").pictures
    stems = [place.format(experiment=name, seed=3) for name in NAMES]
    assert pictured("smoke") == [f"{s}.{kind}" for s in stems for kind in ("png", "md", "json")]


def test_a_scale_that_draws_none_has_those_of_earlier_runs(here):
    assert load_scale("study").previews is None and pictured("study") == []
    preview(here, "study", seed=5)
    assert pictured("study") == []  # a figure is of the first seed
    preview(here, "study", seed=3)
    assert [file for file in pictured("study") if NAMES[1] not in file] == []
    assert len(pictured("study")) == 3


def test_an_archive_has_those_whose_previews_it_has(here):
    assert pictured("smoke", home="unpacked/") == []
    preview(here / "unpacked", "smoke", seed=3)
    found = pictured("smoke", home="unpacked/")
    assert found and all(NAMES[1] in file and file.startswith("unpacked/") for file in found)
