"""Coefficients-preserving sampling (FlowCPS, arXiv 2509.05952): DDIM's noise, for a flow.

A step splits x into the clean latents and the noise that the velocity predicts, and mixes them
again with fresh noise, so that the amounts of signal and of noise are the flow's at any sigma:

    x' = (1 - t') x0 + sqrt(t'^2 - sigma^2) x1 + sigma z,    x0 = x - t v,    x1 = x + (1 - t) v.

Natively sigma = t' sin(theta), with theta = eta 90 degrees at every step. With sigma = 0 it is
Euler's step of the flow's ODE. The last step, t' = 0, has no noise, and so no density.

Source: IamCreateAI/FlowCPS b402c7a, flow_grpo/diffusers_patch/sd3_sde_with_logprob.py:51-55. There
the log-density (:66-67) and the KL term (scripts/train_sd3.py:900) lack the factor
1 / (2 sigma^2), so that a step counts 2 sigma^2 times as much as by its density. Here the density
is the Gaussian one, and the KL term is as on Flow-GRPO's sampler; the credit rule `flow_cps` has
the published weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pcpo.samplers import _at
from pcpo.samplers.flow import Flow, flow_grpo_times, nearer

# Steps with less noise are not trained. On Flow-GRPO's timesteps the last step but one ends at
# t' = 0.009. By its density it would have 9 to 20 times the weight of all others together; by
# FlowCPS's published weights it has less than 1 % of theirs.
LEAST_NOISE = 0.01


@dataclass(frozen=True)
class FlowCPS(Flow):
    """sigma is the standard deviation of a step's noise, from 0 to t'.

    t_next: `(T,)` float64, t' of each step; t - dt would not be exactly 0 at the last one.
    """

    t_next: Tensor

    def mean(self, step: Tensor, x: Tensor, prediction: Tensor) -> Tensor:
        t, t_next = _at(self.t, step, x), _at(self.t_next, step, x)
        kept = _at(self._kept, step, x)
        return (1 - t_next) * (x - t * prediction) + kept * (x + (1 - t) * prediction)

    @property
    def _kept(self) -> Tensor:
        """sqrt(t'^2 - sigma^2), t' cos(theta): how much of the predicted noise stays."""
        return torch.sqrt((self.t_next**2 - self.sigma**2).clamp(min=0))

    @property
    def std(self) -> Tensor:
        return self.sigma

    @property
    def noisy(self) -> Tensor:
        return self.std >= LEAST_NOISE

    @property
    def weights(self) -> Tensor:
        """[t (1 - t') - (1 - t) t' cos(theta)] / sigma; 0 where a step has too little noise."""
        moved = self.t * (1 - self.t_next) - (1 - self.t) * self._kept
        return torch.where(self.noisy, moved / self.sigma, 0)

    def sigma_for(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """`Flow.sigma_for`. With p = t (1 - t'), q = 1 - t and w the weight, p - w sigma =
        q sqrt(t'^2 - sigma^2). Squared, it is a quadratic in sigma, of which the larger root may
        solve the equation with the other sign of the square root.
        """
        p, q, w = self.t * (1 - self.t_next), 1 - self.t, weights
        square = w**2 + q**2
        discriminant = self.t_next**2 * square - p**2
        feasible = discriminant >= 0
        root = q * torch.sqrt(discriminant.clamp(min=0))
        smaller, larger = (w * p - root) / square, (w * p + root) / square
        larger = torch.where(w * larger <= p * (1 + 1e-12), larger, torch.inf)
        chosen = nearer(smaller, larger, self.sigma)
        return torch.where(feasible, chosen, self.sigma), feasible

    def zeta_grid(self) -> tuple[Tensor, Tensor]:
        """The steps of this sampler that are trained."""
        return self.weights[self.noisy], self.dt[self.noisy]

    def kl_scale(self) -> Tensor:
        return self.dt * self.weights**2 / 2


def flow_cps(steps: int, shift: float, eta: float) -> FlowCPS:
    """On the timesteps of Flow-GRPO; eta from 0 to 1, 0.7 in FlowCPS's configurations of SD3.5."""
    times = flow_grpo_times(steps, shift)
    t, t_next = times[:-1], times[1:]
    sigma = t_next * math.sin(eta * math.pi / 2)
    return FlowCPS(t * 1000, sigma, t, t - t_next, t_next)
