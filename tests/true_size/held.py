"""What the plan counts, held against what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pcpo.config import Arm, Experiment, Scale
from pcpo.cost.memory import (
    CONTEXT,
    generation_gigabytes,
    host_gigabytes,
    peak_gigabytes,
)
from pcpo.cost.reward_cost import reward_module

TOLERANCE = 0.15
FLOP_TOLERANCE = 0.03


@dataclass(frozen=True)
class Held:
    """A stage's peak memory: planned and measured, both in 10^9 bytes with the libraries.

    libraries: what Python has resident once a command's libraries are imported, measured too.
    """

    stage: str
    planned: float
    measured: float
    libraries: float

    @property
    def ratio(self) -> float:
        """Measured over planned, after the constants of the libraries."""
        return (self.measured - self.libraries) / (self.planned - CONTEXT["cpu"] / 1e9)

    @property
    def agrees(self) -> bool:
        return abs(self.ratio - 1) <= TOLERANCE


def training(experiment: Experiment, arm: Arm) -> float:
    """Planned memory of a training on the CPU, where trajectories are in the same memory."""
    return peak_gigabytes(experiment) + host_gigabytes(experiment, arm)


def sampling(experiment: Experiment, scale: Scale, rewards: Iterable[str] = ()) -> float:
    """Planned memory of a command that samples, and scores by rewards of the scale."""
    return generation_gigabytes(experiment, {reward_module(scale, name) for name in rewards})


def table(rows: Sequence[Held]) -> str:
    """As Markdown, for docs/scale.md."""
    lines = [
        "| stage | planned GB | measured GB | without the libraries | |",
        "| :-- | --: | --: | --: | :-- |",
    ]
    for row in rows:
        verdict = "" if row.agrees else f"more than {TOLERANCE:.0%} apart"
        sizes = f"{row.planned:.2f} | {row.measured:.2f} | x {row.ratio:.2f}"
        lines.append(f"| {row.stage} | {sizes} | {verdict} |")
    return "\n".join(lines) + "\n"


def flops_line(meta: float, floor: float, run: float) -> str:
    """TFLOP of an epoch: by torch's counter on meta tensors, by the plan, and while it ran."""
    return (
        f"TFLOP of an epoch of `adapter_sd15`, counted while it ran: {run:.2f}; on meta tensors: "
        f"{meta:.2f} (x {run / meta:.3f}); the plan's floor: {floor:.2f}"
    )
