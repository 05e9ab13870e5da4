"""Euler-Maruyama steps of the flow's reverse SDE, Eq. (7), as DanceGRPO and Flow-GRPO take them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pcpo.samplers import _at
from pcpo.samplers.flow import Flow, flow_grpo_times, nearer, shifted, shifted_once


@dataclass(frozen=True)
class FlowSDE(Flow):
    """sigma is the SDE's diffusion coefficient. `decode_x0`: the image is the last step's
    prediction of the clean latents, not its noisy output (DanceGRPO).

    t_once `(T + 1,)`, sigma_once `(T,)`: `shifted_once`, and sigma there, infinite where it is not
    defined. zeta of Eq. (9) is summed on this grid (`credit.zeta`).
    """

    decode_x0: bool
    t_once: Tensor
    sigma_once: Tensor

    def mean(self, step: Tensor, x: Tensor, prediction: Tensor) -> Tensor:
        t, dt = _at(self.t, step, x), _at(self.dt, step, x)
        sigma = _at(self.sigma, step, x)
        # Eq. (7): dx = [ v + sigma^2 / (2 t) (x + (1 - t) v) ] dt, integrated backwards.
        drift = prediction + sigma**2 / (2 * t) * (x + (1 - t) * prediction)
        return x - drift * dt

    @property
    def std(self) -> Tensor:
        return self.sigma * self.dt.sqrt()

    @property
    def weights(self) -> Tensor:
        return flow_weights(self.t, self.dt, self.sigma)

    def sigma_for(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """`Flow.sigma_for`. sqrt(dt) / sigma (1 + k sigma^2) = w, k = (1 - t) / (2 t), is
        k sigma^2 - g sigma + 1 = 0 with g = w / sqrt(dt), unsolvable where g^2 < 4 k.
        """
        k, g = (1 - self.t) / (2 * self.t), weights / torch.sqrt(self.dt)
        discriminant = g**2 - 4 * k
        feasible = discriminant >= 0
        total = g + torch.sqrt(discriminant.clamp(min=0))
        # The second root is infinite where k = 0.
        chosen = nearer(2 / total, total / (2 * k), self.sigma)
        return torch.where(feasible, chosen, self.sigma), feasible

    def zeta_grid(self) -> tuple[Tensor, Tensor]:
        """Of the grid that is shifted once. Where sigma is infinite, at Flow-GRPO's first step, it
        has the weight of the second.
        """
        t, dt = self.t_once[:-1], -self.t_once.diff()
        weights = flow_weights(t, dt, self.sigma_once)
        if not torch.isfinite(weights[0]):
            weights = torch.cat([weights[1:2], weights[1:]])
        return weights, dt

    def kl_scale(self) -> Tensor:
        """As Flow-GRPO has it: c^2 / (2 sigma^2), c the factor of v in a step."""
        c = self.dt * (1 + self.sigma**2 * (1 - self.t) / (2 * self.t))
        return c**2 / (2 * self.sigma**2)

    def final(self, x: Tensor, x_next: Tensor, prediction: Tensor) -> Tensor:
        if not self.decode_x0:
            return x_next
        return x - self.t[-1].to(x.dtype) * prediction


def flow_weights(t: Tensor, dt: Tensor, sigma: Tensor) -> Tensor:
    """Eq. (8): w = sqrt(dt) / sigma (1 + (1 - t) sigma^2 / (2 t)), sigma the SDE's noise level."""
    return torch.sqrt(dt) / sigma * (1 + (1 - t) * sigma**2 / (2 * t))


def dance_sde(steps: int, shift: float, eta: float) -> FlowSDE:
    """DanceGRPO on FLUX: constant sigma = eta (train_grpo_flux_lora.py:69-108, 169-192).

    As in the original, the network's timestep is truncated to whole thousandths in float32: at 12
    steps 0.6 becomes 599.
    """
    t = shifted_once(steps, shift)
    sigma = torch.full((steps,), eta, dtype=torch.float64)
    # int(sigma * 1000), sigma in float32: train_grpo_flux_lora.py:169, 450; _flux.py:231, 506.
    single = shifted(torch.linspace(1, 0, steps + 1, dtype=torch.float32), shift)
    timesteps = (single[:-1] * 1000).floor().double()
    dt = t[:-1] - t[1:]
    return FlowSDE(timesteps, sigma, t[:-1], dt, decode_x0=True, t_once=t, sigma_once=sigma)


def flow_grpo_sde(steps: int, shift: float, a: float) -> FlowSDE:
    """Flow-GRPO on SD3.5: sigma = a sqrt(t / (1 - t)) (sd3_sde_with_logprob.py:34-68).

    At t = 1 the root uses the second timestep in 1 - t.
    """
    times = flow_grpo_times(steps, shift)
    t, ends = times[:-1], times[1:]
    rooted = torch.where(t == 1, t[1], t)
    sigma = a * torch.sqrt(t / (1 - rooted))
    once = shifted_once(steps, shift)
    at = a * torch.sqrt(once[:-1] / (1 - once[:-1]))
    return FlowSDE(t * 1000, sigma, t, t - ends, decode_x0=False, t_once=once, sigma_once=at)
