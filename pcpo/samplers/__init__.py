"""Stochastic samplers as policies: one Gaussian step, its coefficients and its log-probability."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

if TYPE_CHECKING:
    from pcpo.config import Sampler as SamplerConfig


@dataclass(frozen=True)
class Sampler(ABC):
    """A sampler in which every step is x' = mean + std z with z ~ N(0, I).

    timesteps `(T,)` float64: the network's input, on the scale 0..1000, noisy first.
    sigma `(T,)` float64: the noise level that a credit schedule may replace.
    """

    timesteps: Tensor
    sigma: Tensor

    def __len__(self) -> int:
        return len(self.timesteps)

    def to(self, device: torch.device | str) -> Self:
        """The same sampler with its schedules on a device, so that steps do not move them."""
        tensors = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **tensors)

    def with_sigma(self, sigma: Tensor) -> Self:
        """The same sampler with another variance schedule."""
        return replace(self, sigma=sigma)

    def deterministic(self) -> Self:
        """The same sampler without noise: DDIM at eta = 0, or Euler steps of the flow's ODE.

        Its steps have no density: `log_prob` is not finite.
        """
        return self.with_sigma(torch.zeros_like(self.sigma))

    @abstractmethod
    def mean(self, step: Tensor, x: Tensor, prediction: Tensor) -> Tensor:
        """Mean of x' given latents and guided prediction `(B, ...)` at step indices `(B,)`."""

    @property
    @abstractmethod
    def std(self) -> Tensor:
        """Standard deviation of each step, `(T,)`."""

    @property
    def noisy(self) -> Tensor:
        """Which steps have noise, bool `(T,)`; the others have no weight and are never trained."""
        return self.std > 0

    @property
    @abstractmethod
    def weights(self) -> Tensor:
        """The native weights `(T,)`: of a change of the prediction in each step's log-ratio.

        c / std, where the step's mean changes by -c per unit of the prediction.
        """

    @property
    @abstractmethod
    def intervals(self) -> Tensor:
        """Integration interval of each step, `(T,)`."""

    def final(self, x: Tensor, x_next: Tensor, prediction: Tensor) -> Tensor:
        """The latents to decode, given the last step's input, output and prediction."""
        return x_next

    def step(self, step: Tensor, x: Tensor, prediction: Tensor, noise: Tensor) -> Tensor:
        """One reverse step; fp32 `(B, ...)`."""
        return self.around(step, self.mean(step, x, prediction), noise)

    def around(self, step: Tensor, mean: Tensor, noise: Tensor) -> Tensor:
        """x' of a step, `(B, ...)`, given its mean."""
        return mean + _at(self.std, step, mean) * noise

    def log_prob(self, step: Tensor, x: Tensor, prediction: Tensor, x_next: Tensor) -> Tensor:
        """Log-density of x_next, the mean over latent dimensions, `(B,)`."""
        return self.log_density(step, self.mean(step, x, prediction), x_next)

    def log_density(self, step: Tensor, mean: Tensor, x_next: Tensor) -> Tensor:
        """The same, given the step's mean.

        Source: ddpo-pytorch ddim_with_logprob.py:184-190; DanceGRPO and Flow-GRPO alike.
        """
        std = _at(self.std, step, mean)
        density = -((x_next.detach() - mean) ** 2) / (2 * std**2)
        density = density - torch.log(std) - 0.5 * math.log(2 * math.pi)
        return density.mean(dim=tuple(range(1, mean.ndim)))


def _at(schedule: Tensor, step: Tensor, like: Tensor) -> Tensor:
    """Entries of a `(T,)` schedule at step indices `(B,)`, shaped to broadcast over `like`."""
    values = schedule.to(like.device)[step].to(like.dtype)
    return values.reshape(-1, *[1] * (like.ndim - 1))


def build(config: SamplerConfig, scheduler_config: dict[str, Any]) -> Sampler:
    """The sampler of an experiment over the noise schedule of a pipeline's scheduler."""
    from pcpo.samplers import ddim, flow_cps, flow_sde

    if config.kind == "ddim":
        return ddim.ddim(scheduler_config, config.steps, config.noise_level)
    shift = config.shift if config.shift is not None else scheduler_config.get("shift", 1.0)
    of_kind = {
        "dance_sde": flow_sde.dance_sde,
        "flow_grpo_sde": flow_sde.flow_grpo_sde,
        "flow_cps": flow_cps.flow_cps,
    }
    return of_kind[config.kind](config.steps, shift, config.noise_level)
