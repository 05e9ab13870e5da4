"""Seconds of a training iteration by its phases, measured in the package's own loop."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from pcpo.config import Arm, Experiment
from pcpo.policies.base import Policy
from pcpo.training.loop import train
from pcpo.training.observer import Observer
from pcpo.training.run import Reward, Run
from pcpo.training.run_folder import RunFolder

REPEATS = 3  # iterations after the first, which warms up and compiles; the median counts
PROMPTS = [f"prompt number {i}" for i in range(16)]


@dataclass(frozen=True)
class Seconds:
    """Of one iteration of `images` images."""

    sampling: float
    reward: float
    update: float
    images: int

    @property
    def iteration(self) -> float:
        return self.sampling + self.reward + self.update


def matrix_tflops(device: str, size: int = 8192, repeats: int = 20) -> float:
    """Rate of a large bf16 matrix product, TFLOP/s: the GPU's own peak."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    times = []
    for _ in range(repeats + 3):
        wait(device)
        started = time.perf_counter()
        a @ b
        wait(device)
        times.append(time.perf_counter() - started)
    return 2 * size**3 / median(times[3:]) / 1e12


def wait(device: str | torch.device) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


class _Enough(Exception):
    """Every iteration that is needed was measured: nothing is saved."""


class _Stopwatch:
    """Wraps the reward and reads the clock where sampling ends and an update ends."""

    def __init__(self, reward: Reward, device: str, iterations: int) -> None:
        self.reward, self.device, self.iterations = reward, device, iterations
        self.laps: list[Seconds] = []
        self._begin()

    def _begin(self) -> None:
        wait(self.device)
        self.started = self.sampled = time.perf_counter()
        self.rewarding = 0.0

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        wait(self.device)
        started = time.perf_counter()
        scores = self.reward(images, prompts)
        self.sampled = time.perf_counter()
        self.rewarding += self.sampled - started
        return scores

    def report(self, row: dict[str, Any]) -> None:
        """What `train` calls after the update of each iteration."""
        wait(self.device)
        sampling = self.sampled - self.started - self.rewarding
        update = time.perf_counter() - self.sampled
        self.laps.append(Seconds(sampling, self.rewarding, update, row["images"]))
        if len(self.laps) == self.iterations:
            raise _Enough
        self._begin()


def measure(
    policy: Policy,
    experiment: Experiment,
    arm: Arm,
    reward: Reward,
    iterations: int = REPEATS + 1,
) -> Seconds:
    """Median seconds of an iteration of the training loop, the first one left out."""
    endless = experiment.model_copy(
        update={"epochs": iterations + 1, "checkpoint_every": iterations + 1}
    )
    watch = _Stopwatch(reward, str(policy.device), iterations)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(endless, arm, 0, policy, watch, PROMPTS)
        with suppress(_Enough):
            observers = [Observer(update=watch.report)]
            train(run, RunFolder(Path(folder), "bench"), observers, lambda message: None)
    laps = watch.laps[1:]
    return Seconds(
        sampling=median(lap.sampling for lap in laps),
        reward=median(lap.reward for lap in laps),
        update=median(lap.update for lap in laps),
        images=laps[0].images,
    )
