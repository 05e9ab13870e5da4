"""The benchmark's code on toy sizes of the real classes; its figures are not looked at."""

import csv
import math
import subprocess
import sys

import pytest
import torch

from pcpo.config import load_arm, load_experiment
from pcpo.cost import bench as gpu_bench
from pcpo.cost import bench_table as gpu_bench_table
from pcpo.cost.bench import batch_of, toy, with_execution
from pcpo.cost.iteration_time import Seconds, matrix_tflops, measure
from pcpo.cost.speed import Speed


@pytest.fixture(scope="module")
def rows():
    return [
        row
        for number in gpu_bench.EXPERIMENTS
        for row in gpu_bench.bench(load_experiment(number), "cpu", peak=0.1, small=True)
    ]


def test_both_orders_of_every_model_are_measured(rows):
    assert [row.order for row in rows] == ["ours", "official"] * 4
    assert {row.model for row in rows} == {"sd14", "sd15", "sd35m", "flux"}
    for ours, official in zip(rows[::2], rows[1::2], strict=True):
        assert ours.images == official.images
        assert ours.micro_batch > official.micro_batch
    assert [row.activation_checkpointing for row in rows if row.model == "flux"] == [False, True]


def test_rates_follow_from_seconds(rows):
    for row in rows:
        parts = row.sampling_s + row.reward_s + row.update_s
        assert all(s > 0 for s in (row.sampling_s, row.reward_s, row.update_s))
        assert row.images_per_s == pytest.approx(row.images / row.iteration_s)
        assert row.training_images_per_s == pytest.approx(row.images / row.update_s)
        shares = (row.sampling_share, row.training_share)
        assert min(shares) <= row.iteration_share <= max(shares)
        assert row.iteration_s == pytest.approx(parts)


def test_a_share_is_flops_over_seconds_and_peak(rows):
    row = next(row for row in rows if row.model == "sd15" and row.order == "ours")
    chosen = toy(load_experiment(row.experiment))
    forward, decode = gpu_bench._flops(chosen, small=True)
    assert forward > decode / 100 > 0
    work = row.images * row.trained_steps * 2 * forward  # LoRA: two forwards' worth
    assert row.training_share == pytest.approx(work / row.update_s / 0.1e12)
    assert row.steps == row.trained_steps == 4


def test_what_is_written_is_read_again_but_toys_are_no_speeds(rows, tmp_path):
    path = gpu_bench_table.write(rows, tmp_path)
    assert path.name == "toy_CPU.csv"
    with path.open() as handle:
        written = list(csv.DictReader(handle))
    assert len(written) == len(rows)
    assert float(written[0]["update_s"]) == rows[0].update_s
    assert "TOY SIZES" in path.with_suffix(".md").read_text()
    with pytest.raises(ValueError, match="toy sizes"):
        Speed.measured_in(path)
    path.write_text(path.read_text().replace("True,CPU", "False,CPU"))
    speed = Speed.measured_in(path)
    assert speed.training["sd35m"] == rows[4].training_share
    assert speed.rate == 0.1


class Counting:
    """A policy's `predict`, the reward and the clock in one script of what happens."""

    def __init__(self, policy):
        self.inner, self.images, self.calls = policy.predict, 0, []
        policy.predict = self.predict

    def predict(self, latents, *rest):
        self.calls.append(len(latents))
        return self.inner(latents, *rest)

    def reward(self, images, prompts):
        self.images += len(images)
        assert images.dtype == torch.uint8
        return images.double().mean(dim=(1, 2, 3))


def test_an_iteration_has_the_real_steps_and_nothing_is_saved(tmp_path, monkeypatch):
    from pcpo.cost import architectures

    chosen = batch_of(
        with_execution(toy(load_experiment(2)), compile=False), images=4, micro_batch=2
    )
    policy = architectures.policy(chosen, device="cpu", small=True)
    counting = Counting(policy)
    monkeypatch.setattr("pcpo.training.run_folder.RunFolder.save_weights", None)
    monkeypatch.setattr("pcpo.training.run_folder.RunFolder.save_state", None)
    seconds = measure(policy, chosen, load_arm("pcpo"), counting.reward, iterations=2)
    assert isinstance(seconds, Seconds)
    assert seconds.images == 4
    assert counting.images == 2 * 4
    # two micro-batches, four steps, in the rollout and in the update, of two iterations
    assert counting.calls == [2] * (2 * 4 * 2 * 2)
    assert math.isfinite(seconds.iteration)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "no CUDA device is visible"),
        (["--device", "cpu"], "the real architectures need a GPU; add --tiny"),
        (["--device", "cpu", "--tiny", "08"], "reward ocr has no CLIP"),
    ],
)
def test_what_cannot_be_measured_ends_in_one_sentence(options, message):
    if not options and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    command = [sys.executable, "-m", "pcpo.cli.bench_gpu", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_matrix_peak_of_a_gpu_is_plausible():
    assert 10 < matrix_tflops("cuda") < 5000
