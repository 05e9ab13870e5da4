"""The command that compares samplers, on a small model."""

import sys

import pytest
import torch

from pcpo import features
from pcpo.cli import samplers_compared
from pcpo.config import load_scale
from pcpo.credit import credit_schedule
from pcpo.evaluation.generation import generate
from pcpo.metrics.frechet import frechet_distance
from pcpo.records import frame_file, frames
from pcpo.samplers import build
from tests.small import PROMPTS, experiment, policy


def small(number):
    return experiment(number, sampler={"steps": 6})


class Colours:
    outputs, digest = ("pooled",), "mean colours"

    def __call__(self, images):
        return {"pooled": images.float().mean(dim=(2, 3)).numpy()}


@pytest.fixture
def command(models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts.txt").write_text("\n".join(PROMPTS) + "\n")
    smoke = load_scale("smoke")
    prompts = dict.fromkeys(smoke.prompts, str(tmp_path / "prompts.txt"))
    quality = {"fid": smoke.quality["fid"]}
    scale = smoke.model_copy(update={"models": models, "prompts": prompts, "quality": quality})
    monkeypatch.setattr(samplers_compared, "load_scale", lambda name: scale)
    monkeypatch.setattr(samplers_compared, "load_experiment", lambda name, scale: small(int(name)))
    monkeypatch.setattr(features, "load", lambda *_: Colours())

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["samplers_compared", *words, "--out", "out.csv"])
        samplers_compared.main()
        return frame_file.read("out.csv", frames.SAMPLERS).set_index("sampler")["value"]

    return call


def test_each_sampler_is_compared_with_the_native_ones_images(command, capsys):
    words = ("8", "--images", "4", "--arm", "solved_sampler")
    found = command(*words, "--kind", "flow_cps")
    names = ["native", "solved_sampler", "flow_cps", "flow_cps solved_sampler", "deterministic"]
    assert found.index.tolist() == names
    assert (found > 0).all() and found.nunique() == 5
    assert "flow_cps solved_sampler" in capsys.readouterr().out
    assert command(*words)["solved_sampler"] == found["solved_sampler"]
    other = command(*words, "--seed", "1")  # other noise, also for the level of chance
    assert (other != found[other.index]).all()


def test_the_distance_is_that_of_images_made_here(command, models):
    found = command("8", "--images", "4", "--arm", "solved_sampler")
    chosen = small(8)
    base = policy(models, chosen)
    native = build(chosen.sampler, base.scheduler_config)
    schedule = credit_schedule("solved", native, skip_last=True)
    items = [(prompt, number) for prompt in PROMPTS for number in range(4)]

    def colours(sampler, stream):
        batch = chosen.evaluation.batch
        made = torch.stack(list(generate(base, sampler, 1.0, items, batch, stream=stream)))
        return Colours()(made)["pooled"]

    reference = colours(native, "evaluation")
    for name, sampler in (
        ("native", native),
        ("solved_sampler", native.with_sigma(schedule.sigmas)),
    ):
        expected = frechet_distance(colours(sampler, "compared 0"), reference)
        assert found[name] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("8", "--kind", "ddim"), "--kind ddim: sd35m is sampled by flow_grpo_sde"),
        (("8", "--arm", "pcpo_exact"), "--arm pcpo_exact: it makes no sense"),
        (("1", "--arm", "lambda"), "--arm lambda: its steps also need a reference model"),
    ],
)
def test_what_cannot_be_compared(command, words, message):
    with pytest.raises(ValueError, match=message):
        command(*words)
