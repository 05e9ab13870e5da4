"""DDIM with noise (Song et al. 2021, Eq. 12), the sampler of DDPO and of DanceGRPO on SD."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pcpo.samplers import Sampler, _at


@dataclass(frozen=True)
class DDIM(Sampler):
    """alpha_bar, alpha_bar_prev: `(T,)` float64, cumulative alphas at a step and at the next."""

    alpha_bar: Tensor
    alpha_bar_prev: Tensor

    def mean(self, step: Tensor, x: Tensor, prediction: Tensor) -> Tensor:
        a = _at(self.alpha_bar, step, x)
        a_prev = _at(self.alpha_bar_prev, step, x)
        sigma = _at(self.sigma, step, x)
        x0 = (x - torch.sqrt(1 - a) * prediction) / torch.sqrt(a)
        return torch.sqrt(a_prev) * x0 + torch.sqrt(1 - a_prev - sigma**2) * prediction

    @property
    def std(self) -> Tensor:
        return self.sigma

    @property
    def weights(self) -> Tensor:
        return ddim_weights(self.alpha_bar, self.alpha_bar_prev, self.sigma)

    @property
    def intervals(self) -> Tensor:
        """1/T: the leading timesteps are evenly spaced."""
        return torch.full_like(self.sigma, 1 / len(self))


def c1_of(alpha_bar: Tensor, alpha_bar_prev: Tensor) -> Tensor:
    """c1 = sqrt(ap (1 - a) / a) of each step."""
    return torch.sqrt(alpha_bar_prev * (1 - alpha_bar) / alpha_bar)


def ddim_weights(alpha_bar: Tensor, alpha_bar_prev: Tensor, sigma: Tensor) -> Tensor:
    """Eq. (6): w = (c1 - c2) / sigma, c2 = sqrt(1 - ap - sigma^2).

    alpha_bar, alpha_bar_prev, sigma: `(T,)`. At eta = 1 this is sqrt(SNR_prev / SNR - 1).
    """
    c2 = torch.sqrt(1 - alpha_bar_prev - sigma**2)
    return (c1_of(alpha_bar, alpha_bar_prev) - c2) / sigma


def ddim(scheduler_config: dict[str, Any], steps: int, eta: float = 1.0) -> DDIM:
    """DDIM over a diffusers scheduler's betas, as ddpo-pytorch ddim_with_logprob.py:93-181.

    Leading timesteps with the scheduler's offset: 981, 961, ..., 1 for SD at 50 steps. The last
    step ends at alphas_cumprod[0], not at 1, so its density is finite.
    """
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler.from_config(scheduler_config)
    train_steps = scheduler.config.num_train_timesteps
    if not 1 < steps <= train_steps:
        raise ValueError(f"sampler.steps: {steps} is not between 2 and {train_steps}")
    ratio = train_steps // steps
    offset = scheduler.config.steps_offset
    timesteps = (torch.arange(steps) * ratio).flip(0) + offset
    bars = torch.cumprod(1 - scheduler.betas.double(), dim=0)
    previous = (timesteps - ratio).clamp(0, train_steps - 1)
    a, a_prev = bars[timesteps.clamp(max=train_steps - 1)], bars[previous]
    variance = (1 - a_prev) / (1 - a) * (1 - a / a_prev)
    return DDIM(timesteps.double(), eta * variance.sqrt(), a, a_prev)
