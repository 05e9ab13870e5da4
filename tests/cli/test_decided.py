"""The command that measures when rewards are decided, on a small model."""

import sys

import pytest

from pcpo.cli import decided
from pcpo.config import load_scale
from pcpo.records import frame_file, frames
from tests.small import PROMPTS, experiment


@pytest.fixture
def command(models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts.txt").write_text("\n".join(PROMPTS) + "\n")
    smoke = load_scale("smoke")
    prompts = dict.fromkeys(smoke.prompts, str(tmp_path / "prompts.txt"))
    scale = smoke.model_copy(update={"models": models, "prompts": prompts})
    monkeypatch.setattr(decided, "load_scale", lambda name: scale)
    monkeypatch.setattr(decided, "load_experiment", lambda name, scale: experiment(int(name)))

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["decided", *words, "--out", "decided.csv"])
        decided.main()
        return frame_file.read("decided.csv", frames.DECIDED)

    return call


def test_a_share_for_each_reward_and_number_of_steps(command):
    frame = command("1", "--reward", "layout", "--reward", "texture", "--images", "3")
    assert frame["images"].unique().tolist() == [3 * len(PROMPTS)]
    shares = frame.pivot(index="steps", columns="reward", values="share")
    assert shares.index.tolist() == [0, 1, 2, 3]
    assert set(shares.columns) == {"layout", "texture"}
    assert (shares.loc[3] == 1).all() and (shares.loc[:2] < 1).all().all()


def test_a_reward_that_the_scale_does_not_have_is_named(command):
    with pytest.raises(ValueError, match=r"--reward size: scale smoke has no .*layout"):
        command("1", "--reward", "size")
