"""A selection that is started again makes no image twice, and takes none for another setting's."""

import sys

import pytest

from pcpo import config
from pcpo.cli import console, evaluation, select, train
from pcpo.config import load_experiment, load_scale
from tests.rewards.tiny_models import BUILDERS


@pytest.fixture
def command(models, tmp_path, monkeypatch):
    """Runs a command on configuration 1 with small models; `evaluation` keys may be changed."""
    scale = load_scale("smoke")
    chosen = load_experiment(1, "smoke").model_copy(update={"epochs": 5, "checkpoint_every": 1})
    BUILDERS["aesthetic"](tmp_path / "aesthetic")
    (tmp_path / "prompts.txt").write_text("red circle\nblue star\n")
    reward = scale.rewards["aesthetic"].model_copy(update={"path": str(tmp_path / "aesthetic")})
    places = {
        "models": scale.models | {chosen.model: models[chosen.model]},
        "prompts": scale.prompts | {chosen.prompts: str(tmp_path / "prompts.txt")},
        "rewards": scale.rewards | {"aesthetic": reward},
    }
    monkeypatch.chdir(tmp_path)

    def run(module, *arguments, **changes):
        sizes = chosen.evaluation.model_copy(update=changes)
        own = chosen.model_copy(update={"evaluation": sizes})
        where = config if module is train else module  # a training imports them in its main
        monkeypatch.setattr(where, "load_scale", lambda name: scale.model_copy(update=places))
        monkeypatch.setattr(where, "load_experiment", lambda *names: own)
        monkeypatch.setattr(console.Log, "current", None)
        monkeypatch.setattr(sys, "argv", ["it", "1", *arguments, "--scale", "smoke"])
        module.main()

    return run


def test_what_was_scored_is_taken_again_and_only_for_the_same_images(
    command, tmp_path, monkeypatch
):
    for arm in ("baseline", "pcpo"):
        command(train, arm, "--out", arm)
    made, score = [], evaluation.score

    def counting(policy, sampler, experiment, rewards, items, **options):
        made.append(len(items))
        return score(policy, sampler, experiment, rewards, items, **options)

    monkeypatch.setattr(evaluation, "score", counting)
    runs = ("--run", "baseline", "--run", "pcpo", "--out", "selection.csv")
    sizes = {
        "selection_images_per_prompt": 3,
        "screening_images_per_prompt": 1,
        "candidate_window": 10,
    }
    command(select, *runs, **sizes)
    # Two prompts: the five checkpoints are screened on an image each, and three scored on three.
    assert sorted(made) == [2] * 5 + [6] * 4
    first = (tmp_path / "selection.csv").read_bytes()
    made.clear()
    command(select, *runs, **sizes)
    assert made == []
    assert (tmp_path / "selection.csv").read_bytes() == first
    command(select, *runs, **sizes | {"screening_images_per_prompt": 2})
    assert made.count(4) == 5
