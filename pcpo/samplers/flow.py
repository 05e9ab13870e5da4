"""What all samplers of a flow share: its times, and what a credit schedule asks of them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from pcpo.samplers import Sampler


@dataclass(frozen=True)
class Flow(Sampler):
    """A sampler of x_t = (1 - t) x_0 + t x_1, x_1 the noise, with the velocity x_1 - x_0.

    t, dt: `(T,)` float64, noise level of a step (1 is pure noise) and the interval dt > 0 to the
    next one.
    """

    t: Tensor
    dt: Tensor

    @property
    def intervals(self) -> Tensor:
        return self.dt

    @abstractmethod
    def sigma_for(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """The sigma at which this sampler's own weights are `weights`, all `(T,)`; feasible bool.

        Of two solutions, the one nearer to the present sigma in ratio. Where there is none, sigma
        is the present one.
        """

    @abstractmethod
    def zeta_grid(self) -> tuple[Tensor, Tensor]:
        """Native weights and intervals of the steps over which zeta of Eq. (9) is summed."""

    @abstractmethod
    def kl_scale(self) -> Tensor:
        """The scale of `objectives.kl`, `(T,)`: dt w^2 / 2 for the native weight w."""


def nearer(first: Tensor, second: Tensor, present: Tensor) -> Tensor:
    """Of two positive solutions `(T,)` the nearer to `present` in ratio; inf is none."""
    roots = torch.stack([first, second])
    distance = (roots / present).log().abs()
    return roots.gather(0, distance.argmin(0, keepdim=True))[0]


def shifted(t: Tensor, shift: float) -> Tensor:
    return shift * t / (1 + (shift - 1) * t)


def shifted_once(steps: int, shift: float) -> Tensor:
    """`(T + 1,)`: linspace(1, 0, T + 1) after one shift."""
    return shifted(torch.linspace(1, 0, steps + 1, dtype=torch.float64), shift)


def flow_grpo_times(steps: int, shift: float) -> Tensor:
    """`(T + 1,)`: t of Flow-GRPO's steps, then 0.

    As FlowMatchEulerDiscreteScheduler sets them: linspace between the shifted ends of the training
    schedule, shifted once more.
    """
    lowest = shifted(torch.tensor(1 / 1000, dtype=torch.float64), shift)
    t = shifted(torch.linspace(1, float(lowest), steps, dtype=torch.float64), shift)
    return torch.cat([t, torch.zeros(1, dtype=torch.float64)])
