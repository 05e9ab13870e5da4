"""Euler-Maruyama steps of the flow's reverse SDE, Eq. (7), as DanceGRPO and Flow-GRPO take them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pcpo.samplers import Sampler, _at


@dataclass(frozen=True)
class FlowSDE(Sampler):
    """t, dt: `(T,)` float64, noise level of a step (1 is pure noise) and the interval dt > 0.

    sigma is the SDE's diffusion coefficient. `decode_x0`: the image is the last step's
    prediction of the clean latents, not its noisy output (DanceGRPO).
    t_once `(T + 1,)`, sigma_once `(T,)`: linspace(1, 0, T + 1) after one shift, and sigma there,
    infinite where it is not defined. zeta of Eq. (9) is summed on this grid (`credit.zeta`).
    """

    t: Tensor
    dt: Tensor
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
    def intervals(self) -> Tensor:
        return self.dt

    def kl_scale(self) -> Tensor:
        """The scale of `objectives.kl`, `(T,)`: c^2 / (2 sigma^2), c the factor of v in a step."""
        c = self.dt * (1 + self.sigma**2 * (1 - self.t) / (2 * self.t))
        return c**2 / (2 * self.sigma**2)

    def final(self, x: Tensor, x_next: Tensor, prediction: Tensor) -> Tensor:
        if not self.decode_x0:
            return x_next
        return x - self.t[-1].to(x.dtype) * prediction


def _shifted(t: Tensor, shift: float) -> Tensor:
    return shift * t / (1 + (shift - 1) * t)


def _shifted_once(steps: int, shift: float) -> Tensor:
    return _shifted(torch.linspace(1, 0, steps + 1, dtype=torch.float64), shift)


def dance_sde(steps: int, shift: float, eta: float) -> FlowSDE:
    """DanceGRPO on FLUX: constant sigma = eta (train_grpo_flux_lora.py:69-108, 169-192).

    As in the original, the network's timestep is truncated to whole thousandths in float32: at 12
    steps 0.6 becomes 599.
    """
    t = _shifted_once(steps, shift)
    sigma = torch.full((steps,), eta, dtype=torch.float64)
    # int(sigma * 1000), sigma in float32: train_grpo_flux_lora.py:169, 450; _flux.py:231, 506.
    single = _shifted(torch.linspace(1, 0, steps + 1, dtype=torch.float32), shift)
    timesteps = (single[:-1] * 1000).floor().double()
    dt = t[:-1] - t[1:]
    return FlowSDE(timesteps, sigma, t[:-1], dt, decode_x0=True, t_once=t, sigma_once=sigma)


def flow_grpo_sde(steps: int, shift: float, a: float) -> FlowSDE:
    """Flow-GRPO on SD3.5: sigma = a sqrt(t / (1 - t)) (sd3_sde_with_logprob.py:34-68).

    Timesteps as FlowMatchEulerDiscreteScheduler sets them: linspace between the shifted ends of
    the training schedule, shifted once more. At t = 1 the root uses the second timestep in 1 - t.
    """
    lowest = _shifted(torch.tensor(1 / 1000, dtype=torch.float64), shift)
    t = _shifted(torch.linspace(1, float(lowest), steps, dtype=torch.float64), shift)
    ends = torch.cat([t[1:], torch.zeros(1, dtype=torch.float64)])
    rooted = torch.where(t == 1, t[1], t)
    sigma = a * torch.sqrt(t / (1 - rooted))
    once = _shifted_once(steps, shift)
    at = a * torch.sqrt(once[:-1] / (1 - once[:-1]))
    return FlowSDE(t * 1000, sigma, t, t - ends, decode_x0=False, t_once=once, sigma_once=at)
