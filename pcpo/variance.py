"""Variance schedules of DDIM: the sigmas that solve an equation of a step's credit weight.

c1 = sqrt(ap (1 - a) / a), c2 = sqrt(1 - ap - sigma^2): a and ap are the cumulative alphas
at a step's timestep and at the next one visited. The step's mean changes by -(c1 - c2) per unit
of the prediction. Schedules are float64 `(T,)`, noisy first.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pcpo.samplers.ddim import DDIM, c1_of

# The authors' constant in `authors_ddim_sigma` at 50 steps of SD1.5 (jaylee2000/rsm e8be3df,
# const_weight), and its share of the mean of the native (c1 + c2) / sigma there. That repository
# has no rule for other numbers of steps or other noise schedules: the use of a share is ours.
AUTHORS_TARGET = 4.5
AUTHORS_SHARE = AUTHORS_TARGET / 5.004696529026056


def native_ddim_sigma(alpha_bar: Tensor, alpha_bar_prev: Tensor) -> Tensor:
    """sigma at eta = 1."""
    return torch.sqrt((1 - alpha_bar_prev) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_prev))


def variance_target(sampler: DDIM) -> float:
    """v of `authors_ddim_sigma` for a sampler: 4.5 for SD1.5 at 50 steps, as in the authors' code.

    For another number of steps or another noise schedule: the same share (0.899) of the mean over
    all steps of the native (c1 + c2) / sigma at eta = 1. The change of sigma differs then: on
    SD1.5's schedule sigma is 0.93 to 0.97 of the native one at 10 steps, 0.71 to 1.25 at 50.
    """
    bars = sampler.alpha_bar, sampler.alpha_bar_prev
    sigma = native_ddim_sigma(*bars)
    c2 = torch.sqrt(1 - sampler.alpha_bar_prev - sigma**2)
    return AUTHORS_SHARE * float(((c1_of(*bars) + c2) / sigma).mean())


def authors_ddim_sigma(
    alpha_bar: Tensor, alpha_bar_prev: Tensor, target: float
) -> tuple[Tensor, Tensor]:
    """The authors' sigma: `(sigma (T,), feasible (T,) bool)`.

    sigma = [v c1 + sqrt(b (1 + v^2) - c1^2)] / (1 + v^2), b = 1 - ap, v the target. It solves
    (c1 + c2) / sigma = v, which is Eq. (6) with the other sign of the root; the sampler then runs
    with the usual sign. Where there is no root, sigma is the native one (eta = 1).
    Source: jaylee2000/rsm e8be3df, sd15_zeroth_order/diffusion/ddim_step.py (algorithm uw-sigma).
    """
    c1, b, v = c1_of(alpha_bar, alpha_bar_prev), 1 - alpha_bar_prev, target
    discriminant = b * (1 + v**2) - c1**2
    feasible = discriminant >= 0
    root = (v * c1 + torch.sqrt(discriminant.clamp(min=0))) / (1 + v**2)
    return torch.where(feasible, root, native_ddim_sigma(alpha_bar, alpha_bar_prev)), feasible


def solve_ddim_sigma(
    alpha_bar: Tensor, alpha_bar_prev: Tensor, target: Tensor | float
) -> tuple[Tensor, Tensor]:
    """The sigma at which Eq. (6) equals `target`: `(sigma (T,), feasible (T,) bool)`.

    With b = 1 - ap the equation is quadratic, (1 + w^2) s^2 - 2 c1 w s + c1^2 - b = 0; the smaller
    root is used. w is smallest at eta = 1. So there is no root where `target` is below the native
    weight; sigma is then the native one. The paper does not say what it does at these steps.
    """
    w = torch.as_tensor(target, dtype=alpha_bar.dtype).expand_as(alpha_bar)
    c1, b = c1_of(alpha_bar, alpha_bar_prev), 1 - alpha_bar_prev
    discriminant = b * (1 + w**2) - c1**2
    # Where w equals the native weight, the root is double and rounding decides the sign.
    feasible = discriminant >= -1e-14 * c1**2
    root = (c1 * w - torch.sqrt(discriminant.clamp(min=0))) / (1 + w**2)
    return torch.where(feasible, root, native_ddim_sigma(alpha_bar, alpha_bar_prev)), feasible


def solve_ddim_sigma_inverse_square(
    alpha_bar: Tensor, alpha_bar_prev: Tensor, target: Tensor | float
) -> tuple[Tensor, Tensor]:
    """The sigma at which (c1 - c2) / sigma^2 equals `target`, for the arm `inverse_square`.

    With u = sigma^2, (c1 - W u)^2 = b - u gives
    u = [2 c1 W - 1 +- sqrt((1 - 2 c1 W)^2 - 4 W^2 (c1^2 - b))] / (2 W^2);
    of the roots in (0, b] with c1 >= W u, the one nearer to the native variance is used.
    """
    w = torch.as_tensor(target, dtype=alpha_bar.dtype).expand_as(alpha_bar)
    c1, b = c1_of(alpha_bar, alpha_bar_prev), 1 - alpha_bar_prev
    native = native_ddim_sigma(alpha_bar, alpha_bar_prev)
    root = torch.sqrt((1 - 2 * c1 * w) ** 2 - 4 * w**2 * (c1**2 - b))  # nan: no solution
    candidates = torch.stack([2 * c1 * w - 1 - root, 2 * c1 * w - 1 + root]) / (2 * w**2)
    valid = torch.isfinite(candidates) & (candidates > 0) & (candidates <= b)
    valid &= c1 - w * candidates >= 0
    distance = (candidates - native**2).abs().masked_fill(~valid, torch.inf)
    chosen = candidates.gather(0, distance.argmin(0, keepdim=True))[0]
    feasible = valid.any(0)
    return torch.where(feasible, chosen.clamp(min=0).sqrt(), native), feasible
