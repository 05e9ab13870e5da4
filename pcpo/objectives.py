"""Policy-gradient objectives: pure functions of log-ratios and advantages.

All values are per image and timestep: `(B,)` tensors of one timestep, or any shape that
broadcasts. Log-ratios are **means** over an image's latent dimensions, as in all three baselines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Objective:
    """The result of an objective.

    loss: scalar, the mean over the batch.
    clip_fraction: scalar, two-sided: mean(|log ratio| > clip range), whatever the advantage's
        sign. The baselines log |ratio - 1|, which is the same to 5e-9 at a clip range of 1e-4.
    gated_fraction: scalar, one-sided: sign(A) log ratio > clip range. The gradient of these terms
        is off (all objectives but `unclipped`).

    The authors count the first where a ratio is computed and the second where predictions are
    matched (jaylee2000/rsm e8be3df, sd15_zeroth_order/train_grpo.py). So the paper's curves compare
    the first of the baseline with the second of PCPO. Here both are logged for every arm.
    """

    loss: Tensor
    clip_fraction: Tensor
    gated_fraction: Tensor


@dataclass(frozen=True)
class Bounds:
    """The clip range below and above a log-ratio of 0, both positive: numbers, or `(B,)`."""

    lower: float | Tensor
    upper: float | Tensor

    @classmethod
    def symmetric(cls, clip_range: float | Tensor) -> Bounds:
        return cls(clip_range, clip_range)

    def clamp(self, ratio: Tensor) -> Tensor:
        """A ratio within 1 - lower and 1 + upper."""
        low, high = 1.0 - self.lower, 1.0 + self.upper
        if isinstance(low, Tensor) or isinstance(high, Tensor):
            low, high = (torch.as_tensor(bound).to(ratio) for bound in (low, high))
            return torch.minimum(torch.maximum(ratio, low), high)
        return ratio.clamp(low, high)

    def at(self, advantages: Tensor) -> float | Tensor:
        """The bound that an advantage's sign meets: the upper one where it is positive."""
        if self.lower is self.upper:
            return self.upper
        upper, lower = (torch.as_tensor(b).to(advantages) for b in (self.upper, self.lower))
        return torch.where(advantages > 0, upper, lower)


def clipped_terms(log_ratio: Tensor, advantages: Tensor, bounds: Bounds) -> tuple[Tensor, Tensor]:
    """Which terms `clip_fraction` counts, and which `gated_fraction` counts: bool, as log_ratio.

    Of the advantages only the sign matters.
    """
    clipped = (log_ratio > bounds.upper) | (-log_ratio > bounds.lower)
    return clipped, advantages.sign() * log_ratio > bounds.at(advantages)


def _clipping(log_ratio: Tensor, advantages: Tensor, bounds: Bounds) -> tuple[Tensor, Tensor]:
    clipped, gated = clipped_terms(log_ratio.detach(), advantages, bounds)
    return clipped.float().mean(), gated.float().mean()


def matching_log_ratio(
    prediction: Tensor,
    prediction_old: Tensor,
    noise: Tensor,
    weight: Tensor,
    quadratic: Tensor | None = None,
) -> Tensor:
    """Eq. (4) and (8): the log-ratio from predictions only, without a sampler step.

    log rho = -[ w mean(delta * z) + w^2 mean(delta^2) / 2 ],  delta = prediction - prediction_old.

    prediction, prediction_old, noise: `(B, ...)`, fp32 or fp64, guided predictions and the step's
    unit Gaussian noise. weight: `(B,)` or scalar. quadratic: alike, the factor of mean(delta^2) of
    a trust region; None: w^2 / 2. Returns `(B,)`, the mean over latent dimensions.
    """
    delta = prediction - prediction_old
    dims = tuple(range(1, delta.ndim))
    cross = (delta * noise).mean(dim=dims)
    square = delta.square().mean(dim=dims)
    return -(weight * cross + (0.5 * weight**2 if quadratic is None else quadratic) * square)


# (log-ratios, advantages, bounds, scale): scale is a factor of each term of the loss.
Function = Callable[[Tensor, Tensor, Bounds, float | Tensor], Objective]

OBJECTIVES: dict[str, Function] = {}


def objective(name: str) -> Callable[[Function], Function]:
    """Make a function the objective `name` of arms; `pcpo.config.declared` reads the name."""

    def declare(function: Function) -> Function:
        OBJECTIVES[name] = function
        return function

    return declare


@objective("ppo_clip")
def ppo_clip(
    log_ratio: Tensor, advantages: Tensor, bounds: Bounds, scale: float | Tensor = 1.0
) -> Objective:
    """Eq. (1), as the baselines write it: max(-A rho, -A clip(rho, 1 - eps, 1 + eps)).

    Source: ddpo-pytorch scripts/train.py:539-577.
    """
    ratio = torch.exp(log_ratio)
    unclipped = -advantages * ratio
    clipped = -advantages * bounds.clamp(ratio)
    loss = (torch.maximum(unclipped, clipped) * scale).mean()
    return Objective(loss, *_clipping(log_ratio, advantages, bounds))


@objective("log_hinge")
def log_hinge(
    log_ratio: Tensor, advantages: Tensor, bounds: Bounds, scale: float | Tensor = 1.0
) -> Objective:
    """Eq. (3): mean |A| max(0, eps - sign(A) log rho)."""
    margin = bounds.at(advantages) - advantages.sign() * log_ratio
    loss = (advantages.abs() * margin.clamp(min=0.0) * scale).mean()
    return Objective(loss, *_clipping(log_ratio, advantages, bounds))


@objective("unclipped")
def unclipped(
    log_ratio: Tensor, advantages: Tensor, bounds: Bounds, scale: float | Tensor = 1.0
) -> Objective:
    """Eq. (3) without a trust region: mean(-A log rho). Both counts are of terms outside of one."""
    loss = (-advantages * log_ratio * scale).mean()
    return Objective(loss, *_clipping(log_ratio, advantages, bounds))


def kl(prediction: Tensor, prediction_ref: Tensor, scale: Tensor) -> Tensor:
    """Flow-GRPO's KL estimate, mean((mu - mu_ref)^2) / (2 std_dev^2), `(B,)`.

    std_dev lacks the factor sqrt(|dt|), so this is |dt| times the true KL per dimension; the
    published betas are for this estimate (flow_grpo scripts/train_sd3.py:864-939). By predictions:
    scale * mean((v - v_ref)^2) with `Flow.kl_scale`, which is |dt| w^2 / 2 for the native w.
    """
    delta = prediction - prediction_ref
    return scale * delta.square().mean(dim=tuple(range(1, delta.ndim)))
