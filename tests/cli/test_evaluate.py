"""The command that measures an experiment's images, on noise with a small quality network."""

import json
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pcpo.cli import evaluate
from pcpo.config import load_scale
from pcpo.evaluation.images import read_images, read_index, write_images
from pcpo.features.quality_network import Features, QualityNetwork
from pcpo.metrics.diversity import mean_pairwise_squared_distance
from pcpo.metrics.frechet import frechet_distance
from pcpo.metrics.inception_score import inception_score
from pcpo.records import frame_file, frames

PROMPTS, SEEDS = 15, 20  # 300 images: more than one batch, and the second starts within a prompt
ROWS = [(2 * i, f"prompt {i}", seed) for i in range(PROMPTS) for seed in range(SEEDS)]
ARMS = ("base", "baseline", "pcpo")


def pictures(arm):
    rng = np.random.default_rng(ARMS.index(arm))
    coarse = rng.integers(0, 200, size=(len(ROWS), 3, 4, 4)).repeat(8, axis=2).repeat(8, axis=3)
    return (coarse + rng.integers(0, 50, size=coarse.shape)).astype(np.uint8)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("evaluate")
    (root / "quality_network").mkdir()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_file(QualityNetwork().state_dict(), root / "quality_network/model.safetensors")
    config = {"channels": [24, 48, 64, 64], "classes": [5, 9, 4]}
    (root / "quality_network/config.json").write_text(json.dumps(config))
    for arm in ARMS:
        write_images(root / arm, ROWS, iter(pictures(arm)))
    return root


@pytest.fixture
def command(root, monkeypatch):
    """Run the command with the demo's metrics; returns the two frames and the log."""
    scale = load_scale("demo").model_copy(
        update={"features": {"quality_network": str(root / "quality_network")}}
    )
    monkeypatch.setattr(evaluate, "load_scale", lambda name: scale)

    def run(*more):
        out = [str(root / name) for name in ("overall.parquet", "per_prompt.parquet", "log.txt")]
        arms = [item for arm in ARMS[1:] for item in ("--arm", arm, str(root / arm))]
        options = ["--overall", out[0], "--per-prompt", out[1], "--log", out[2]]
        argv = ["evaluate", "02_ddpo_aesthetic", "--base", str(root / "base"), *arms, *options]
        monkeypatch.setattr(sys, "argv", [*argv, *more])
        evaluate.main()
        return (
            frame_file.read(out[0], frames.METRICS_OVERALL),
            frame_file.read(out[1], frames.METRICS_PER_PROMPT),
            (root / "log.txt").read_text(),
        )

    return run


def test_the_quality_networks_numbers_are_those_of_arrays_in_memory(root, command):
    """Streaming and the disk change no bit of a feature, and so of no number but by rounding."""
    overall, per_prompt, log = command()
    computed = ", ".join(f"quality_network.{name}" for name in ("pooled", "middle", "logits"))
    assert f"base: 300 images, computed {computed}" in log
    overall = overall.set_index(["arm", "metric"])["value"]
    per_prompt = per_prompt.set_index(["arm", "metric", "prompt_id"])["value"]
    network = Features(root / "quality_network")
    whole = {}
    for arm in ARMS:
        images = read_images(root / arm, read_index(root / arm))
        np.testing.assert_array_equal(images, pictures(arm))
        whole[arm] = network(torch.from_numpy(images))

    def same(value):  # sums may be taken in another order where memory is aligned otherwise
        return pytest.approx(value, rel=1e-12, abs=1e-13)

    for arm, own in whole.items():
        base, within = whole["base"], []
        for metric, output in {"fid": "pooled", "fd_dinov2": "middle"}.items():
            kept = np.load(root / arm / f"features/quality_network.{output}.npy")
            np.testing.assert_array_equal(kept, own[output], strict=True)
            assert overall[arm, metric] == same(frechet_distance(own[output], base[output]))
        assert overall[arm, "is_star"] == same(
            inception_score(own["logits"], splits=3)[0]
        )  # of 300
        for i in range(PROMPTS):
            rows = slice(SEEDS * i, SEEDS * i + SEEDS)
            within.append(mean_pairwise_squared_distance(own["perceptual"][rows]))
            assert per_prompt[arm, "lpips_diversity", 2 * i] == same(within[-1])
            distance = frechet_distance(own["pooled"][rows], base["pooled"][rows])
            assert per_prompt[arm, "fid", 2 * i] == same(distance)
            score = inception_score(own["logits"][rows], splits=1)[0]  # fewer than 200
            assert per_prompt[arm, "is_star", 2 * i] == same(score)
        assert overall[arm, "lpips_diversity"] == same(np.mean(within))
    assert overall["pcpo", "fid"] > 1e-6


def test_a_second_run_reads_what_the_first_kept(command):
    first = command()
    second = command()
    for before, after in zip(first[:2], second[:2], strict=True):
        assert before.equals(after)
    assert "pcpo: 300 images, known before" in second[2]


def test_features_that_the_scale_lacks_are_named(command, monkeypatch):
    scale = load_scale("demo").model_copy(update={"features": {}})
    monkeypatch.setattr(evaluate, "load_scale", lambda name: scale)
    with pytest.raises(ValueError, match=r"demo\.yaml: quality\.fid: features\..* is missing"):
        command()


def test_the_device_is_the_extractors(command):
    with pytest.raises((RuntimeError, AssertionError, ValueError), match="(?i)cuda|device"):
        command("--device", "cuda:99")
