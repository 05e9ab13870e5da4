"""Credit over timesteps: the sampler's native weights and the schedules that replace them.

All schedules are float64 tensors `(T,)` in sampling order (noisy first). An arm of
config/arms.yaml names one of the rules: a function here under `@rule`.

For diffusion models, the paper's text differs from the code of its authors. The text asks for the
variance at which the weight of Eq. (6) is a constant (`exact`). A later public repository of the
first author, adapted from PCPO's code, has the constant weight only in the loss; its sampler's
variance solves the equation with the other sign (`proportional`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from pcpo import samplers
from pcpo.samplers import Sampler
from pcpo.samplers.ddim import DDIM, ddim_weights
from pcpo.samplers.flow import Flow
from pcpo.samplers.flow_sde import flow_weights
from pcpo.variance import (
    authors_ddim_sigma,
    native_ddim_sigma,
    solve_ddim_sigma,
    solve_ddim_sigma_inverse_square,
    variance_target,
)

if TYPE_CHECKING:
    from pcpo.config import Arm, Experiment

Over = Literal["all", "trained"]  # steps over which a mean weight or zeta is taken


@dataclass(frozen=True)
class CreditSchedule:
    """weights `(T,)` in the loss, sigmas `(T,)` of the sampler, trained `(T,)` bool.

    feasible `(T,)` bool: whether the equation for the step's sigma, or for the sigma that would
        give its weight, has a solution.
    target: the number that defines the schedule: v of `variance_target` (proportional and
        variance_only on DDIM), zeta (proportional on flow), else the constant weight; NaN for
        native weights.
    change `(T,)`: factor on the prediction's difference from the reference model's in a sampler
        step; 1 is the prediction itself (all kinds but `lambda`).
    """

    weights: Tensor
    sigmas: Tensor
    trained: Tensor
    feasible: Tensor
    target: float
    change: Tensor

    def __post_init__(self) -> None:
        steps = self.weights.shape
        for name in ("sigmas", "trained", "feasible", "change"):
            if getattr(self, name).shape != steps:
                raise ValueError(f"credit schedule: {name} has another length than weights")
        if not self.trained.any():
            raise ValueError("credit schedule: no timestep is trained")
        for name in ("weights", "sigmas", "change"):
            value = getattr(self, name)
            if not (torch.isfinite(value).all() and (value[self.trained] > 0).all()):
                raise ValueError(f"credit schedule: {name} must be finite and positive: {value}")

    @property
    def moves_prediction(self) -> bool:
        """Whether the sampler also needs the reference model's prediction."""
        return not bool((self.change == 1).all())


@dataclass(frozen=True)
class _Given:
    """The input of a credit rule: a sampler, its native weights, the trained steps."""

    sampler: Sampler
    native: Tensor
    trained: Tensor
    over: Over

    def schedule(self, target: float, **changed: Tensor) -> CreditSchedule:
        """The native schedule of the sampler with some parts replaced."""
        parts = {
            "weights": self.native,
            "sigmas": self.sampler.sigma,
            "trained": self.trained,
            "feasible": torch.ones_like(self.trained),
            "change": torch.ones_like(self.native),
        }
        return CreditSchedule(target=target, **(parts | changed))

    @property
    def counted(self) -> Tensor:
        """Steps of a mean weight or of zeta: all, as in the authors' code, or the trained ones.

        A step without noise has no weight, and does not count.
        """
        return self.sampler.noisy if self.over == "all" else self.trained

    def mean(self, weights: Tensor) -> Tensor:
        return weights[self.counted].mean()

    def constant(self, value: Tensor) -> Tensor:
        return value.expand_as(self.native)


Rule = Callable[[_Given], CreditSchedule]
RULES: dict[str, dict[str, Rule]] = {"ddim": {}, "flow": {}}  # by family of samplers, by name


def rule(name: str, *samplers: str, reference: bool = False) -> Callable[[Rule], Rule]:
    """Make a function the credit rule `name` of these families of samplers, "ddim" or "flow".

    reference: a sampler's step also needs the reference model's prediction. The arguments are
    literal values, because `pcpo.config.declared` reads them from this source.
    """

    def declare(function: Rule) -> Rule:
        for sampler in samplers:
            RULES[sampler][name] = function
        return function

    return declare


@rule("native", "ddim", "flow")
def _native(given: _Given) -> CreditSchedule:
    return given.schedule(float("nan"))


@rule("drop_largest", "ddim", "flow")
def _drop_largest(given: _Given) -> CreditSchedule:
    """Native weights and sampler; the step with the largest weight is not trained."""
    weights = given.native.masked_fill(~given.trained, 0)
    trained = given.trained.clone()
    trained[weights.argmax()] = False
    return given.schedule(float("nan"), trained=trained)


# --- DDIM ---------------------------------------------------------------------------------------


def _authors_variance(sampler: DDIM) -> tuple[float, Tensor, Tensor]:
    target, bars = variance_target(sampler), (sampler.alpha_bar, sampler.alpha_bar_prev)
    sigma, feasible = authors_ddim_sigma(*bars, target)
    eta = sampler.sigma / native_ddim_sigma(*bars)
    return target, sigma * eta, feasible


@rule("proportional", "ddim")
def _ddim_proportional(given: _Given) -> CreditSchedule:
    """PCPO as its authors ran it: a constant weight in the loss, with their variance schedule."""
    assert isinstance(given.sampler, DDIM)
    target, sigma, feasible = _authors_variance(given.sampler)
    constant = given.constant(given.mean(given.native))
    return given.schedule(target, weights=constant, sigmas=sigma, feasible=feasible)


@rule("variance_only", "ddim")
def _variance_only(given: _Given) -> CreditSchedule:
    """The authors' variance schedule with the native sampler's weights."""
    assert isinstance(given.sampler, DDIM)
    target, sigma, feasible = _authors_variance(given.sampler)
    return given.schedule(target, sigmas=sigma, feasible=feasible)


@rule("reweight", "ddim")
def _reweight(given: _Given) -> CreditSchedule:
    """The constant weight in the loss, with the native sampler."""
    constant = given.constant(given.mean(given.native))
    feasible = given.native <= constant  # below it no sigma has this weight
    return given.schedule(float(constant[0]), weights=constant, feasible=feasible)


@rule("exact", "ddim")
def _exact(given: _Given) -> CreditSchedule:
    """Eq. (6) as in the paper's text: the sigma at which the weight is the constant.

    Where no such sigma exists, the loss has the constant weight with the native sigma.
    """
    assert isinstance(given.sampler, DDIM)
    constant = given.mean(given.native)
    bars = given.sampler.alpha_bar, given.sampler.alpha_bar_prev
    sigma, feasible = solve_ddim_sigma(*bars, constant)
    weights = given.constant(constant)
    return given.schedule(float(constant), weights=weights, sigmas=sigma, feasible=feasible)


@rule("inverse_square", "ddim")
def _inverse_square(given: _Given) -> CreditSchedule:
    """The sigma at which (c1 - c2) / sigma^2 is constant, with the weights of that sigma."""
    assert isinstance(given.sampler, DDIM)
    bars = given.sampler.alpha_bar, given.sampler.alpha_bar_prev
    target = given.mean(given.native / given.sampler.sigma)
    sigma, feasible = solve_ddim_sigma_inverse_square(*bars, target)
    weights = ddim_weights(*bars, sigma)
    return given.schedule(float(target), weights=weights, sigmas=sigma, feasible=feasible)


@rule("lambda", "ddim", reference=True)
def _lambda(given: _Given) -> CreditSchedule:
    """The authors' other variant (uw-lambda): native sampler, and a truly constant weight.

    A step takes ref + lambda (prediction - ref), lambda = constant / native weight. A change of the
    prediction then has the constant as its weight.
    Source: jaylee2000/rsm e8be3df, sd15_zeroth_order/diffusion/ddim_step.py.
    """
    constant = given.mean(given.native)
    weights = given.constant(constant)
    return given.schedule(float(constant), weights=weights, change=constant / given.native)


# --- flow ---------------------------------------------------------------------------------------


def proportional_flow_weights(t: Tensor, dt: Tensor, sigma: Tensor) -> Tensor:
    """Eq. (9): w' = zeta dt, zeta = sum(w) / sum(dt), over the given steps.

    For scripts; the rule below takes the published `zeta`, which is that of all steps.
    """
    return flow_weights(t, dt, sigma).sum() / dt.sum() * dt


def zeta(sampler: Flow) -> float:
    """zeta of Eq. (9) as published: the sum of the native weights over all N steps.

    13.343 for DanceGRPO (eta 0.3, 16 steps, shift 3). For Flow-GRPO (a = 0.7, 10 steps) the
    authors' 4.3152134639895925 is the sum on the grid with the shift applied once. There sigma is
    infinite at the first step, which takes the weight of the second. They use this zeta on the
    official sampler, whose grid is shifted twice (there the sum is 5.71), and so do we.
    """
    weights, dt = sampler.zeta_grid()
    return float(weights.sum() / dt.sum())


@rule("reweight", "flow")
@rule("proportional", "flow")
def _flow_proportional(given: _Given) -> CreditSchedule:
    """PCPO: zeta dt in the loss, with the native sampler."""
    sampler = given.sampler
    assert isinstance(sampler, Flow)
    if given.over == "all":
        total = zeta(sampler)
    else:
        total = float(given.native[given.trained].sum() / sampler.dt[given.trained].sum())
    return given.schedule(total, weights=total * sampler.dt)


@rule("solved", "flow")
def _solved(given: _Given) -> CreditSchedule:
    """The sigma at which the sampler's own weight is zeta dt; the log-ratio is then the sampler's.

    zeta is the sum of the native weights on this sampler. Where no such sigma exists, sigma and
    weight are the native ones. The paper says that this "requires drastic changes" of sigma
    (Sec. 2.3); the rule is ours.
    """
    sampler = given.sampler
    assert isinstance(sampler, Flow)
    total = given.native[given.counted].sum() / sampler.dt[given.counted].sum()
    sigma, feasible = sampler.sigma_for(total * sampler.dt)
    weights = sampler.with_sigma(sigma).weights
    return given.schedule(float(total), weights=weights, sigmas=sigma, feasible=feasible)


@rule("uniform", "flow")
def _uniform(given: _Given) -> CreditSchedule:
    constant = given.mean(given.native)
    return given.schedule(float(constant), weights=given.constant(constant))


# --- other methods, on every sampler --------------------------------------------------------------


@rule("tempflow", "ddim", "flow")
def _tempflow(given: _Given) -> CreditSchedule:
    """TempFlow-GRPO: the native weight times std / mean(std), the mean over the trained steps.

    1 / mean(std) is 2.252 on Flow-GRPO's sampler of 10 steps, which the code cited writes as 2.25.
    Source: jaylee2000/rsm e8be3df, sd35_zeroth_order/flow_grpo/sd3_train_shared.py
    (tempflow_reweight).
    """
    std = given.sampler.std
    return given.schedule(float("nan"), weights=given.native * std / std[given.trained].mean())


@rule("guard", "ddim", "flow")
def _guard(given: _Given) -> CreditSchedule:
    """GRPO-Guard: the native weight times std / dt, on Flow-GRPO's sampler 1 + a^2 / 2.

    dt is a step's interval, 1/T on DDIM. Source: as `_tempflow` (grpo_guard).
    """
    return given.schedule(
        float("nan"), weights=given.native * given.sampler.std / given.sampler.intervals
    )


@rule("flow_cps", "ddim", "flow")
def _flow_cps(given: _Given) -> CreditSchedule:
    """FlowCPS: the native weight times 2 std^2, because its log-density lacks 1 / (2 sigma^2).

    Source: pcpo/samplers/flow_cps.py.
    """
    return given.schedule(float("nan"), weights=given.native * 2 * given.sampler.std**2)


# --- the schedule of an arm ---------------------------------------------------------------------


def proportional_weights(sampler: Sampler, trained: Tensor, over: Over) -> Tensor:
    """PCPO's weight of each step, `(T,)`: a constant on DDIM, zeta dt on a flow sampler."""
    given = _Given(sampler, sampler.weights, trained, over)
    return _rules_of(sampler)["reweight"](given).weights


def _rules_of(sampler: Sampler) -> dict[str, Rule]:
    return RULES["ddim" if isinstance(sampler, DDIM) else "flow"]


def credit_schedule(
    kind: str, sampler: Sampler, skip_last: bool, over: Over = "all"
) -> CreditSchedule:
    """The schedule of an arm's `credit` for a sampler with its native sigmas.

    over: the steps that enter the mean (the constant weight) or the sum (zeta). Raises ValueError
    for a rule that the sampler does not have.
    """
    trained = sampler.noisy.clone()
    if skip_last:
        trained[-1] = False
    rules = _rules_of(sampler)
    if kind not in rules:
        raise ValueError(
            f"credit '{kind}' makes no sense with {type(sampler).__name__}; it has "
            f"{', '.join(rules)}"
        )
    return rules[kind](_Given(sampler, sampler.weights, trained, over))


def arm_sampler(
    experiment: Experiment, arm: Arm, scheduler_config: dict[str, Any]
) -> tuple[Sampler, CreditSchedule]:
    """An arm's credit schedule, and the sampler with its sigmas by which the arm is trained.

    scheduler_config: of the pipeline's scheduler, as in `samplers.build`.
    """
    native = samplers.build(experiment.sampler, scheduler_config)
    schedule = credit_schedule(arm.credit, native, experiment.timesteps.skip_last, arm.over)
    return native.with_sigma(schedule.sigmas), schedule
