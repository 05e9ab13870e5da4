"""What the clip sees: a region says which quantity of a step is held against the clip range.

The loss of an image at a step is, in the form of Eq. (3),

    |A| s max(0, eps e - sign(A) m),    m = -(f mean(delta z) + q mean(delta^2)),

delta the change of the prediction and z the step's noise. Its gradient on-policy is that of
-A s f mean(delta z), so s f is the step's credit c (pcpo/credit.py). A region chooses f and q, what
the clip sees, and e, the step's share of the clip range; s = c / f follows. So credit and trust
region can be varied apart. With w the native weight, log rho = -(w mean(delta z) + w^2/2
mean(delta^2)) is the log-ratio of the sampler.

All schedules are `(T,)` in sampling order. An arm of config/arms.yaml names a region: a function
here under `@region`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pcpo.credit import CreditSchedule, Over, proportional_weights
from pcpo.samplers import Sampler


@dataclass(frozen=True)
class TrustRegion:
    """linear f, quadratic q, scale s and share e of each step, `(T,)`.

    quadratic: None for f^2 / 2. scale, share: None where they are 1 at every step.
    """

    linear: Tensor
    quadratic: Tensor | None = None
    scale: Tensor | None = None
    share: Tensor | None = None

    def to(self, device: torch.device | str, dtype: torch.dtype) -> TrustRegion:
        tensors = {k: v.to(device, dtype) for k, v in vars(self).items() if v is not None}
        return replace(self, **tensors)


@dataclass(frozen=True)
class _Given:
    """The input of a region, each `(T,)`: native weight w, credit c, PCPO's weight, the step's
    standard deviation, and which steps are trained.
    """

    native: Tensor
    credit: Tensor
    proportional: Tensor
    std: Tensor
    trained: Tensor

    def scaled(self, linear: Tensor, quadratic: Tensor | None = None) -> TrustRegion:
        return TrustRegion(linear, quadratic, scale=self.credit / linear)


Rule = Callable[[_Given], TrustRegion]
REGIONS: dict[str, Rule] = {}


def region(name: str) -> Callable[[Rule], Rule]:
    """Make a function the trust region `name` of arms; `pcpo.config.declared` reads the name."""

    def declare(function: Rule) -> Rule:
        REGIONS[name] = function
        return function

    return declare


@region("credited")
def _credited(given: _Given) -> TrustRegion:
    """The log-ratio with the credit as its weight, as PCPO has it (Eq. 5, 8)."""
    return TrustRegion(given.credit)


@region("scaled")
def _scaled(given: _Given) -> TrustRegion:
    """The sampler's log-ratio times credit over native weight, as TempFlow-GRPO has it.

    From `credited` it differs in the quadratic term.
    Source: jaylee2000/rsm e8be3df, sd35_zeroth_order/flow_grpo/sd3_train_shared.py
    (tempflow_reweight).
    """
    return TrustRegion(given.credit, 0.5 * given.credit * given.native)


@region("log_ratio")
def _log_ratio(given: _Given) -> TrustRegion:
    """The log-ratio of the sampler, as the baselines clip it, whatever the credit."""
    if torch.equal(given.native, given.credit):
        return _credited(given)
    return given.scaled(given.native)


@region("proportional")
def _proportional(given: _Given) -> TrustRegion:
    """The log-ratio with PCPO's weight, as PCPO clips it, whatever the credit."""
    if torch.equal(given.proportional, given.credit):
        return _credited(given)
    return given.scaled(given.proportional)


@region("mean_change")
def _mean_change(given: _Given) -> TrustRegion:
    """std^2 log rho ("fair clip"): the change of the step's mean, whatever the noise.

    Source: as `_scaled` (fair_clip).
    """
    variance = given.std**2
    return given.scaled(variance * given.native, variance * 0.5 * given.native**2)


@region("guard")
def _guard(given: _Given) -> TrustRegion:
    """std log rho without its quadratic term: the normalised ratio of GRPO-Guard.

    Source: as `_scaled` (grpo_guard).
    """
    return given.scaled(given.std * given.native, torch.zeros_like(given.native))


@region("per_step")
def _per_step(given: _Given) -> TrustRegion:
    """As `credited`, with a clip range in proportion to the step's native weight.

    The mean share over the trained steps is 1.
    """
    share = given.native / given.native[given.trained].mean()
    return TrustRegion(given.credit, share=share)


def trust_region(name: str, sampler: Sampler, schedule: CreditSchedule, over: Over) -> TrustRegion:
    """The region `name` of an arm, float64.

    sampler: with the sigmas of the arm's credit schedule. over: as the arm's, for PCPO's weight.
    Raises ValueError for an unknown name.
    """
    if name not in REGIONS:
        raise ValueError(f"trust_region '{name}' is unknown; use one of {', '.join(REGIONS)}")
    trained = schedule.trained
    return REGIONS[name](
        _Given(
            native=sampler.weights * schedule.change,
            credit=schedule.weights,
            proportional=proportional_weights(sampler, trained, over),
            std=sampler.std,
            trained=trained,
        )
    )
