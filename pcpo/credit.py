"""Credit over timesteps: the sampler's native weights and the schedules that replace them.

All schedules are float64 tensors `(T,)` in sampling order (noisy first).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pcpo import samplers
from pcpo.samplers import Sampler
from pcpo.samplers.ddim import DDIM
from pcpo.samplers.flow_sde import FlowSDE

if TYPE_CHECKING:
    from pcpo.config import Arm, Experiment


@dataclass(frozen=True)
class CreditSchedule:
    """weights `(T,)` in the loss, sigmas `(T,)` of the sampler, trained `(T,)` bool.

    `feasible` says at which steps the sigma that realises the target weight exists.
    """

    weights: Tensor
    sigmas: Tensor
    trained: Tensor
    feasible: Tensor

    def __post_init__(self) -> None:
        steps = self.weights.shape
        for name in ("sigmas", "trained", "feasible"):
            if getattr(self, name).shape != steps:
                raise ValueError(f"credit schedule: {name} has another length than weights")
        if not self.trained.any():
            raise ValueError("credit schedule: no timestep is trained")
        for name in ("weights", "sigmas"):
            value = getattr(self, name)
            if not (torch.isfinite(value).all() and (value[self.trained] > 0).all()):
                raise ValueError(f"credit schedule: {name} must be finite and positive: {value}")


def ddim_weights(alpha_bar: Tensor, alpha_bar_prev: Tensor, sigma: Tensor) -> Tensor:
    """Eq. (6): w = C / sigma, C = sqrt(ap (1 - a) / a) - sqrt(1 - ap - sigma^2).

    alpha_bar, alpha_bar_prev: cumulative alphas at a step's timestep and at the next one visited.
    At eta = 1 this is sqrt(SNR_prev / SNR - 1).
    """
    a = torch.sqrt(alpha_bar_prev * (1 - alpha_bar) / alpha_bar)
    return (a - torch.sqrt(1 - alpha_bar_prev - sigma**2)) / sigma


def _native_ddim_sigma(alpha_bar: Tensor, alpha_bar_prev: Tensor) -> Tensor:
    return torch.sqrt((1 - alpha_bar_prev) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_prev))


def solve_ddim_sigma(
    alpha_bar: Tensor, alpha_bar_prev: Tensor, target: Tensor | float
) -> tuple[Tensor, Tensor]:
    """The sigma at which Eq. (6) equals `target`: `(sigma (T,), feasible (T,) bool)`.

    With a = sqrt(ap (1 - a_t) / a_t) and b = 1 - ap the equation is quadratic,
    (1 + w^2) s^2 - 2 a w s + a^2 - b = 0; the smaller root is taken. eta = 1 is where w is least,
    so there is no root where `target` is below the native weight: the native sigma stands there.
    The paper does not say what it does at these steps.
    """
    w = torch.as_tensor(target, dtype=alpha_bar.dtype).expand_as(alpha_bar)
    a = torch.sqrt(alpha_bar_prev * (1 - alpha_bar) / alpha_bar)
    b = 1 - alpha_bar_prev
    discriminant = b * (1 + w**2) - a**2
    # At w equal to the native weight the root is double and rounding decides the sign.
    feasible = discriminant >= -1e-14 * a**2
    root = (a * w - torch.sqrt(discriminant.clamp(min=0))) / (1 + w**2)
    return torch.where(feasible, root, _native_ddim_sigma(alpha_bar, alpha_bar_prev)), feasible


def solve_ddim_sigma_inverse_square(
    alpha_bar: Tensor, alpha_bar_prev: Tensor, target: Tensor | float
) -> tuple[Tensor, Tensor]:
    """The sigma at which C / sigma^2 equals `target`, for the arm `inverse_square`.

    With u = sigma^2, (a - W u)^2 = b - u gives
    u = [2 a W - 1 +- sqrt((1 - 2 a W)^2 - 4 W^2 (a^2 - b))] / (2 W^2);
    of the roots in (0, b] with a >= W u the one nearer to the native variance is taken.
    """
    w = torch.as_tensor(target, dtype=alpha_bar.dtype).expand_as(alpha_bar)
    a = torch.sqrt(alpha_bar_prev * (1 - alpha_bar) / alpha_bar)
    b = 1 - alpha_bar_prev
    native = _native_ddim_sigma(alpha_bar, alpha_bar_prev)
    root = torch.sqrt((1 - 2 * a * w) ** 2 - 4 * w**2 * (a**2 - b))  # nan: no solution
    candidates = torch.stack([2 * a * w - 1 - root, 2 * a * w - 1 + root]) / (2 * w**2)
    valid = torch.isfinite(candidates) & (candidates > 0) & (candidates <= b)
    valid &= a - w * candidates >= 0
    distance = (candidates - native**2).abs().masked_fill(~valid, torch.inf)
    chosen = candidates.gather(0, distance.argmin(0, keepdim=True))[0]
    feasible = valid.any(0)
    return torch.where(feasible, chosen.clamp(min=0).sqrt(), native), feasible


def flow_weights(t: Tensor, dt: Tensor, sigma: Tensor) -> Tensor:
    """Eq. (8): w = sqrt(dt) / sigma (1 + (1 - t) sigma^2 / (2 t)), sigma the SDE's noise level."""
    return torch.sqrt(dt) / sigma * (1 + (1 - t) * sigma**2 / (2 * t))


def proportional_flow_weights(t: Tensor, dt: Tensor, sigma: Tensor) -> Tensor:
    """Eq. (9): w' = zeta dt, zeta = sum(w) / sum(dt), over the steps that are given.

    Give the **trained** steps: with Flow-GRPO's last step (dt = 0.009) included zeta is 5.71
    instead of 3.97.
    """
    return flow_weights(t, dt, sigma).sum() / dt.sum() * dt


def _ddim_schedule(kind: str, sampler: DDIM, trained: Tensor) -> CreditSchedule:
    bars = sampler.alpha_bar, sampler.alpha_bar_prev
    native = ddim_weights(*bars, sampler.sigma)
    target = native[trained].mean()
    everywhere = torch.ones_like(trained)
    if kind == "native":
        return CreditSchedule(native, sampler.sigma, trained, everywhere)
    if kind == "reweight":
        constant = target.expand_as(native)
        return CreditSchedule(constant, sampler.sigma, trained, native <= target)
    if kind == "proportional":
        # Where no sigma exists the constant weight stands in the loss over the native sampler.
        sigma, feasible = solve_ddim_sigma(*bars, target)
        return CreditSchedule(target.expand_as(native), sigma, trained, feasible)
    if kind == "inverse_square":
        target = (native / sampler.sigma)[trained].mean()
        sigma, feasible = solve_ddim_sigma_inverse_square(*bars, target)
        return CreditSchedule(ddim_weights(*bars, sigma), sigma, trained, feasible)
    raise ValueError(f"credit '{kind}' makes no sense with DDIM")


def _flow_schedule(kind: str, sampler: FlowSDE, trained: Tensor) -> CreditSchedule:
    native = flow_weights(sampler.t, sampler.dt, sampler.sigma)
    weights = native.clone()
    if kind == "proportional":
        steps = (sampler.t[trained], sampler.dt[trained], sampler.sigma[trained])
        weights[trained] = proportional_flow_weights(*steps)
    elif kind == "uniform":
        weights[trained] = native[trained].mean()
    elif kind != "native":
        raise ValueError(f"credit '{kind}' makes no sense with a flow sampler")
    return CreditSchedule(weights, sampler.sigma, trained, torch.ones_like(trained))


def credit_schedule(kind: str, sampler: Sampler, skip_last: bool) -> CreditSchedule:
    """The schedule of an arm's `credit` for a sampler with its native sigmas."""
    trained = torch.ones(len(sampler), dtype=torch.bool)
    trained[-1] = not skip_last
    if isinstance(sampler, DDIM):
        return _ddim_schedule(kind, sampler, trained)
    if isinstance(sampler, FlowSDE):
        return _flow_schedule(kind, sampler, trained)
    raise TypeError(f"no credit schedule for {type(sampler).__name__}")


def arm_sampler(
    experiment: Experiment, arm: Arm, scheduler_config: dict[str, Any]
) -> tuple[Sampler, CreditSchedule]:
    """The sampler by which an arm is trained, under the sigmas of its credit schedule; and that.

    scheduler_config: of the pipeline's scheduler, as `samplers.build` takes it.
    """
    native = samplers.build(experiment.sampler, scheduler_config)
    schedule = credit_schedule(arm.credit, native, experiment.timesteps.skip_last)
    return native.with_sigma(schedule.sigmas), schedule
