"""Seconds of a training iteration by its phases, measured in the package's own loop."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
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

Clock = Callable[[], float]
Between = Callable[[], object]


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

    @classmethod
    def median(cls, laps: Sequence[Seconds]) -> Seconds:
        """The median of each phase."""
        return cls(
            sampling=median(lap.sampling for lap in laps),
            reward=median(lap.reward for lap in laps),
            update=median(lap.update for lap in laps),
            images=laps[0].images,
        )


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


class Stopwatch:
    """Wraps the reward, and reads the clock where sampling ends and an update ends."""

    def __init__(
        self, reward: Reward, device: torch.device, clock: Clock = time.perf_counter
    ) -> None:
        self.reward, self.device, self.clock = reward, device, clock
        self.laps: list[Seconds] = []
        self.start()

    def start(self) -> None:
        """Begin an iteration."""
        wait(self.device)
        self.started = self.sampled = self.clock()
        self.rewarding = 0.0

    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        wait(self.device)
        started = self.clock()
        scores = self.reward(images, prompts)
        self.sampled = self.clock()
        self.rewarding += self.sampled - started
        return scores

    def lap(self, images: int) -> None:
        """End an iteration of so many images."""
        wait(self.device)
        sampling = self.sampled - self.started - self.rewarding
        update = self.clock() - self.sampled
        self.laps.append(Seconds(sampling, self.rewarding, update, images))


def laps(
    policy: Policy,
    experiment: Experiment,
    arm: Arm,
    reward: Reward,
    iterations: int = REPEATS + 1,
    clock: Clock = time.perf_counter,
    between: Between = lambda: None,
) -> list[Seconds]:
    """Seconds of iterations of the training loop, each of one gradient update; the first warms up.

    between: called after each one, outside of its time.
    """
    endless = experiment.model_copy(
        update={"epochs": iterations + 1, "checkpoint_every": iterations + 1}
    )
    watch = Stopwatch(reward, policy.device, clock)

    def report(row: dict[str, Any]) -> None:
        watch.lap(row["images"])
        between()
        if len(watch.laps) == iterations:
            raise _Enough
        watch.start()

    with tempfile.TemporaryDirectory() as folder:
        run = Run(endless, arm, 0, policy, watch, PROMPTS)
        watch.start()
        with suppress(_Enough):
            observers = [Observer(update=report)]
            train(run, RunFolder(Path(folder), "bench"), observers, lambda message: None)
    return watch.laps


def measure(
    policy: Policy,
    experiment: Experiment,
    arm: Arm,
    reward: Reward,
    iterations: int = REPEATS + 1,
) -> Seconds:
    """Median seconds of an iteration of the training loop, the first one left out."""
    return Seconds.median(laps(policy, experiment, arm, reward, iterations)[1:])
