"""Every scale finds its folders in the table of assets."""

import pytest

from pcpo.assets import read_assets
from pcpo.assets.needs import needed, prompt_source, unfinished
from pcpo.config import experiment_names, experiments_at, load_experiment, load_scale
from pcpo.config.files import CONFIG
from pcpo.prompts.sets import SETS

SCALES = sorted(path.stem for path in (CONFIG / "scale").glob("*.yaml"))
REAL = [scale for scale in SCALES if not load_scale(scale).synthetic]


def test_the_papers_scale_is_real():
    assert "paper" in REAL and "demo" not in REAL


@pytest.mark.parametrize("scale", REAL)
def test_every_folder_of_a_scale_is_an_asset(scale):
    loaded = load_scale(scale)
    experiments = [load_experiment(name, scale) for name in experiments_at(scale)]
    assets = needed(loaded, experiments)
    assert set(assets) <= set(read_assets())
    if loaded.only_experiments is None:
        every = {"rewards/aesthetic", "rewards/bertscore", "sources/hpd", "sources/coco"}
        assert every <= set(assets)
    named = [source.path for source in (*loaded.models.values(), *loaded.rewards.values())]
    named += loaded.features.values()
    below = {path.removeprefix("data/") for path in named if path and path.startswith("data/")}
    assert below <= set(read_assets())


def test_one_experiment_needs_less():
    scale = load_scale("paper")
    some = needed(scale, [load_experiment("01_ddpo_aesthetic_half", "paper")])
    assert "rewards/aesthetic" in some
    assert not {"rewards/hps", "sources/hpd", "models/flux"} & set(some)


def test_synthetic_models_need_no_assets():
    experiments = [load_experiment(name, "demo") for name in experiment_names()]
    assert needed(load_scale("demo"), experiments) == []


def test_a_prompt_file_that_no_set_makes():
    scale = load_scale("paper")
    scale = scale.model_copy(update={"prompts": scale.prompts | {"animal": "data/prompts/ox.txt"}})
    with pytest.raises(ValueError, match=r"paper\.yaml: prompts\.animal: no prompt set 'ox'"):
        needed(scale, [load_experiment("01_ddpo_aesthetic_half", "paper")])


def test_a_prompt_file_of_the_users_own_is_no_asset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/prompts").mkdir(parents=True)
    (tmp_path / "data/prompts/ox.txt").write_text("an ox\n")
    one, scale = load_experiment("01_ddpo_aesthetic_half", "paper"), load_scale("paper")
    own = scale.model_copy(update={"prompts": scale.prompts | {"animal": "data/prompts/ox.txt"}})
    assert needed(own, [one]) == needed(scale, [one])


def test_validation_prompts_are_needed():
    scale, one = load_scale("paper"), load_experiment("01_ddpo_aesthetic_half", "paper")
    validation = load_experiment("08_flowgrpo_ocr", "paper").validation
    watched = one.model_copy(update={"validation": validation})
    assert set(needed(scale, [watched])) - set(needed(scale, [one])) == {"sources/ocr"}


def test_unfinished(tmp_path):
    (tmp_path / "a").mkdir()
    assert unfinished(["a", "b"], str(tmp_path)) == ["a", "b"]
    (tmp_path / "a/assets.json").touch()
    assert unfinished(["a", "b"], str(tmp_path)) == ["b"]


def test_sources_of_prompt_sets_are_assets():
    assert prompt_source("animal") == []
    assert prompt_source("coco") == ["data/sources/coco/assets.json"]
    assert {known.source for known in SETS.values() if known.source} <= set(read_assets())
