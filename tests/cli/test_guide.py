"""`python -m pcpo.cli.guide` and the rule's command on small models."""

import sys

import numpy as np
import pytest
import torch

from pcpo import config, samplers
from pcpo.cli import evaluation, guide, reward_guidance
from pcpo.evaluation.generation import generate
from pcpo.evaluation.images import read_images, read_index
from pcpo.records import frame_file, frames
from tests.small import brightness, experiment, perturb, policy

PROMPTS = ["red circle", "blue star", "green moon"]


@pytest.fixture
def small(models, tmp_path, monkeypatch):
    """Configuration 2 on a small model, three prompts, two checkpoints, in a folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts.txt").write_text("\n".join(PROMPTS) + "\n")
    smoke = config.load_scale("smoke")
    prompts = dict.fromkeys(smoke.prompts, str(tmp_path / "prompts.txt"))
    scale = smoke.model_copy(update={"models": models, "prompts": prompts})
    for module in (guide, reward_guidance):
        monkeypatch.setattr(module, "load_scale", lambda name: scale)
        monkeypatch.setattr(module, "load_experiment", lambda name, scale: experiment(int(name)))
    numbered = [experiment(number) for number in (2, 4)]
    monkeypatch.setattr(reward_guidance, "load_experiments", lambda scale: numbered)
    for seed in (1, 2):
        trained = policy(models, experiment(2), train=True, seed=seed)
        perturb(trained, seed)
        (tmp_path / f"own{seed}").mkdir()
        trained.save_weights(tmp_path / f"own{seed}")
    return tmp_path


def call(monkeypatch, module, *words):
    monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, words)])
    module.main()


def expected(models, loaded=None):
    chosen = experiment(2)
    own = policy(models, chosen)
    if loaded is not None:
        own.load_weights(loaded)
    sampler = samplers.build(chosen.sampler, own.scheduler_config)
    items = [(prompt, 0) for prompt in PROMPTS]
    made = generate(own, sampler, chosen.sampler.guidance_scale, items, len(items))
    return torch.stack(list(made)).numpy()


def made(folder):
    return read_images(folder, read_index(folder))


def test_a_users_checkpoints_are_mixed(small, models, monkeypatch):
    def at(name, *strengths):
        pairs = zip(("own1", "own2"), strengths, strict=True)
        words = [word for folder, s in pairs for word in ("--checkpoint", folder, s)]
        call(monkeypatch, guide, 2, "--prompts", "prompts.txt", "--out", name, *words)
        return made(small / name)

    assert np.array_equal(at("aligned", 0, 1), expected(models, small / "own2"))
    assert np.array_equal(at("base", 0, 0), expected(models))
    assert not np.array_equal(at("mixed", 0.5, 0.5), expected(models))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--checkpoint", "nowhere", "1"], "--checkpoint nowhere: there is no such folder"),
        (["--checkpoint", "empty", "1"], "empty holds neither pytorch_lora_weights"),
        (["--checkpoint", "own1", "much"], "--checkpoint ... much: the strength is a number"),
        (["--checkpoint", "own1", "nan"], "the strength is a number"),
        (["--checkpoint", "own1", "1", "--images", "0"], "--images 0: give 1 or more"),
        (["--checkpoint", "own1", "1", "--out", "own2"], "--out own2: exists and is not empty"),
        (
            ["--checkpoint", "own1", "1", "--prompts", "no.txt"],
            "no.txt: the prompt file is mis",
        ),
        (["--checkpoint", "own1", "1", "--base", "gone"], "there is no pipeline in"),
    ],
)
def test_what_is_wrong_is_named(small, monkeypatch, words, message):
    (small / "empty").mkdir()
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        call(monkeypatch, guide, 2, "--prompts", "prompts.txt", "--out", "new", *words)
    assert not (small / "new").exists()


def test_the_rules_command_scores_every_point_against_the_base_images(small, models, monkeypatch):
    class Extractor:
        outputs, digest = ("pooled",), "mean colour"

        def __call__(self, images):
            return {"pooled": images.float().mean(dim=(2, 3)).numpy()}

    from pcpo import features

    monkeypatch.setattr(features, "load", lambda *_: Extractor())
    monkeypatch.setattr(evaluation, "load_reward", lambda *_, **options: brightness)
    monkeypatch.setattr(evaluation, "last_checkpoint", lambda run, upto: 2)
    monkeypatch.setattr(evaluation, "checkpoint_folder", lambda e, s, arm, run, epoch: run)
    for name in ("own1", "own2"):
        (small / name / "SHA256SUMS").write_text(name)
    words = [2, "--scale", "smoke", "--images", "images", "--out", "frame.parquet"]
    with pytest.raises(ValueError, match="--run: give the folder of the run of 02_.* and 04_"):
        call(monkeypatch, reward_guidance, *words, "--run", "own1")
    call(monkeypatch, reward_guidance, *words, "--run", "own1", "--run", "own2")

    assert np.array_equal(made(small / "images/0_0"), expected(models))
    assert np.array_equal(made(small / "images/1_0"), expected(models, small / "own1"))
    assert np.array_equal(made(small / "images/0_1"), expected(models, small / "own2"))
    frame = frame_file.read("frame.parquet", frames.REWARD_GUIDANCE, "smoke", ["02_ddpo_aesthetic"])
    assert len(frame) == 9 * (2 * len(PROMPTS) + 1)
    one = frame[(frame["strength"] == 1) & (frame["beside_strength"] == 0)]
    own = one[one["measure"] == "aesthetic"].sort_values("prompt_id")["value"]
    pixels = torch.from_numpy(made(small / "images/1_0"))
    np.testing.assert_allclose(own, brightness(pixels, PROMPTS))
    distances = frame[frame["measure"] == "fid"].set_index(["strength", "beside_strength"])["value"]
    assert distances[0, 0] == pytest.approx(0, abs=1e-6)
    assert distances.drop((0, 0)).min() > 1e-3

    before = (small / "images/1_0/prompt_000.zip").read_bytes()
    (small / "images/1_0/prompt_001.zip").unlink()  # a stopped job makes what is missing
    call(monkeypatch, reward_guidance, *words, "--run", "own1", "--run", "own2")
    assert np.array_equal(made(small / "images/1_0"), expected(models, small / "own1"))
    assert (small / "images/1_0/prompt_000.zip").read_bytes() == before
