"""Policy-gradient objectives: pure functions of log-ratios and advantages.

All values are per image and timestep: `(B,)` tensors of one timestep, or any shape that
broadcasts. Log-ratios are **means** over an image's latent dimensions, as in all three baselines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class Objective:
    """The result of an objective.

    loss: scalar, the mean over the batch.
    clip_fraction: scalar, two-sided: mean(|log ratio| > clip range), whatever the advantage's
        sign. The baselines log |ratio - 1|, which is the same to 5e-9 at a clip range of 1e-4.
    gated_fraction: scalar, one-sided: share of terms whose gradient is off,
        sign(A) log ratio > clip range.

    The authors count the first where a ratio is computed and the second where predictions are
    matched (jaylee2000/rsm e8be3df, sd15_zeroth_order/train_grpo.py). So the paper's curves compare
    the first of the baseline with the second of PCPO. Here both are logged for every arm.
    """

    loss: Tensor
    clip_fraction: Tensor
    gated_fraction: Tensor


def clipped_terms(
    log_ratio: Tensor, advantages: Tensor, clip_range: float
) -> tuple[Tensor, Tensor]:
    """Which terms `clip_fraction` counts, and which `gated_fraction` counts: bool, as log_ratio.

    Of the advantages only the sign matters.
    """
    return log_ratio.abs() > clip_range, advantages.sign() * log_ratio > clip_range


def _clipping(log_ratio: Tensor, advantages: Tensor, clip_range: float) -> tuple[Tensor, Tensor]:
    clipped, gated = clipped_terms(log_ratio.detach(), advantages, clip_range)
    return clipped.float().mean(), gated.float().mean()


def matching_log_ratio(
    prediction: Tensor, prediction_old: Tensor, noise: Tensor, weight: Tensor
) -> Tensor:
    """Eq. (4) and (8): the log-ratio from predictions only, without a sampler step.

    log rho = -[ w mean(delta * z) + w^2 mean(delta^2) / 2 ],  delta = prediction - prediction_old.

    prediction, prediction_old, noise: `(B, ...)`, fp32 or fp64, guided predictions and the step's
    unit Gaussian noise. weight: `(B,)` or scalar. Returns `(B,)`, the mean over latent dimensions.
    """
    delta = prediction - prediction_old
    dims = tuple(range(1, delta.ndim))
    cross = (delta * noise).mean(dim=dims)
    square = delta.square().mean(dim=dims)
    return -(weight * cross + 0.5 * weight**2 * square)


OBJECTIVES: dict[str, Callable[[Tensor, Tensor, float], Objective]] = {}
_Function = TypeVar("_Function", bound=Callable[[Tensor, Tensor, float], Objective])


def objective(name: str) -> Callable[[_Function], _Function]:
    """Make a function the objective `name` of arms; `pcpo.config.declared` reads the name."""

    def declare(function: _Function) -> _Function:
        OBJECTIVES[name] = function
        return function

    return declare


@objective("ppo_clip")
def ppo_clip(log_ratio: Tensor, advantages: Tensor, clip_range: float) -> Objective:
    """Eq. (1), as the baselines write it: max(-A rho, -A clip(rho, 1 - eps, 1 + eps)).

    Source: ddpo-pytorch scripts/train.py:539-577.
    """
    ratio = torch.exp(log_ratio)
    unclipped = -advantages * ratio
    clipped = -advantages * ratio.clamp(1.0 - clip_range, 1.0 + clip_range)
    loss = torch.maximum(unclipped, clipped).mean()
    return Objective(loss, *_clipping(log_ratio, advantages, clip_range))


@objective("log_hinge")
def log_hinge(log_ratio: Tensor, advantages: Tensor, clip_range: float) -> Objective:
    """Eq. (3): mean |A| max(0, eps - sign(A) log rho)."""
    margin = clip_range - advantages.sign() * log_ratio
    loss = (advantages.abs() * margin.clamp(min=0.0)).mean()
    return Objective(loss, *_clipping(log_ratio, advantages, clip_range))


def kl(prediction: Tensor, prediction_ref: Tensor, scale: Tensor) -> Tensor:
    """Flow-GRPO's KL estimate, mean((mu - mu_ref)^2) / (2 std_dev^2), `(B,)`.

    std_dev lacks the factor sqrt(|dt|), so this is |dt| times the true KL per dimension; the
    published betas are for this estimate (flow_grpo scripts/train_sd3.py:864-939). By predictions:
    scale * mean((v - v_ref)^2) with `FlowSDE.kl_scale`, which is |dt| w^2 / 2 for the native w.
    """
    delta = prediction - prediction_ref
    return scale * delta.square().mean(dim=tuple(range(1, delta.ndim)))
