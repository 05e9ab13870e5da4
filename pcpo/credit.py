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
from pcpo.samplers.ddim import DDIM
from pcpo.samplers.flow_sde import FlowSDE

if TYPE_CHECKING:
    from pcpo.config import Arm, Experiment

# The authors' constant in `authors_ddim_sigma` at 50 steps of SD1.5 (jaylee2000/rsm e8be3df,
# const_weight), and its share of the mean of the native (c1 + c2) / sigma there. That repository
# has no rule for other numbers of steps or other noise schedules: the use of a share is ours.
AUTHORS_TARGET = 4.5
AUTHORS_SHARE = AUTHORS_TARGET / 5.004696529026056

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


# --- DDIM ---------------------------------------------------------------------------------------
#
# c1 = sqrt(ap (1 - a) / a), c2 = sqrt(1 - ap - sigma^2): a and ap are the cumulative alphas at a
# step's timestep and at the next one visited. The step's mean changes by -(c1 - c2) per unit of
# the prediction.


def _c1(alpha_bar: Tensor, alpha_bar_prev: Tensor) -> Tensor:
    return torch.sqrt(alpha_bar_prev * (1 - alpha_bar) / alpha_bar)


def ddim_weights(alpha_bar: Tensor, alpha_bar_prev: Tensor, sigma: Tensor) -> Tensor:
    """Eq. (6): w = (c1 - c2) / sigma.

    alpha_bar, alpha_bar_prev, sigma: `(T,)`. At eta = 1 this is sqrt(SNR_prev / SNR - 1).
    """
    c2 = torch.sqrt(1 - alpha_bar_prev - sigma**2)
    return (_c1(alpha_bar, alpha_bar_prev) - c2) / sigma


def _native_ddim_sigma(alpha_bar: Tensor, alpha_bar_prev: Tensor) -> Tensor:
    """sigma at eta = 1."""
    return torch.sqrt((1 - alpha_bar_prev) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_prev))


def variance_target(sampler: DDIM) -> float:
    """v of `authors_ddim_sigma` for a sampler: 4.5 for SD1.5 at 50 steps, as in the authors' code.

    For another number of steps or another noise schedule: the same share (0.899) of the mean over
    all steps of the native (c1 + c2) / sigma at eta = 1. The change of sigma differs then: on
    SD1.5's schedule sigma is 0.93 to 0.97 of the native one at 10 steps, 0.71 to 1.25 at 50.
    """
    bars = sampler.alpha_bar, sampler.alpha_bar_prev
    sigma = _native_ddim_sigma(*bars)
    c2 = torch.sqrt(1 - sampler.alpha_bar_prev - sigma**2)
    return AUTHORS_SHARE * float(((_c1(*bars) + c2) / sigma).mean())


def authors_ddim_sigma(
    alpha_bar: Tensor, alpha_bar_prev: Tensor, target: float
) -> tuple[Tensor, Tensor]:
    """The authors' sigma: `(sigma (T,), feasible (T,) bool)`.

    sigma = [v c1 + sqrt(b (1 + v^2) - c1^2)] / (1 + v^2), b = 1 - ap, v the target. It solves
    (c1 + c2) / sigma = v, which is Eq. (6) with the other sign of the root; the sampler then runs
    with the usual sign. Where there is no root, sigma is the native one (eta = 1).
    Source: jaylee2000/rsm e8be3df, sd15_zeroth_order/diffusion/ddim_step.py (algorithm uw-sigma).
    """
    c1, b, v = _c1(alpha_bar, alpha_bar_prev), 1 - alpha_bar_prev, target
    discriminant = b * (1 + v**2) - c1**2
    feasible = discriminant >= 0
    root = (v * c1 + torch.sqrt(discriminant.clamp(min=0))) / (1 + v**2)
    return torch.where(feasible, root, _native_ddim_sigma(alpha_bar, alpha_bar_prev)), feasible


def solve_ddim_sigma(
    alpha_bar: Tensor, alpha_bar_prev: Tensor, target: Tensor | float
) -> tuple[Tensor, Tensor]:
    """The sigma at which Eq. (6) equals `target`: `(sigma (T,), feasible (T,) bool)`.

    With b = 1 - ap the equation is quadratic, (1 + w^2) s^2 - 2 c1 w s + c1^2 - b = 0; the smaller
    root is used. w is smallest at eta = 1. So there is no root where `target` is below the native
    weight; sigma is then the native one. The paper does not say what it does at these steps.
    """
    w = torch.as_tensor(target, dtype=alpha_bar.dtype).expand_as(alpha_bar)
    c1, b = _c1(alpha_bar, alpha_bar_prev), 1 - alpha_bar_prev
    discriminant = b * (1 + w**2) - c1**2
    # Where w equals the native weight, the root is double and rounding decides the sign.
    feasible = discriminant >= -1e-14 * c1**2
    root = (c1 * w - torch.sqrt(discriminant.clamp(min=0))) / (1 + w**2)
    return torch.where(feasible, root, _native_ddim_sigma(alpha_bar, alpha_bar_prev)), feasible


def solve_ddim_sigma_inverse_square(
    alpha_bar: Tensor, alpha_bar_prev: Tensor, target: Tensor | float
) -> tuple[Tensor, Tensor]:
    """The sigma at which (c1 - c2) / sigma^2 equals `target`, for the arm `inverse_square`.

    With u = sigma^2, (c1 - W u)^2 = b - u gives
    u = [2 c1 W - 1 +- sqrt((1 - 2 c1 W)^2 - 4 W^2 (c1^2 - b))] / (2 W^2);
    of the roots in (0, b] with c1 >= W u, the one nearer to the native variance is used.
    """
    w = torch.as_tensor(target, dtype=alpha_bar.dtype).expand_as(alpha_bar)
    c1, b = _c1(alpha_bar, alpha_bar_prev), 1 - alpha_bar_prev
    native = _native_ddim_sigma(alpha_bar, alpha_bar_prev)
    root = torch.sqrt((1 - 2 * c1 * w) ** 2 - 4 * w**2 * (c1**2 - b))  # nan: no solution
    candidates = torch.stack([2 * c1 * w - 1 - root, 2 * c1 * w - 1 + root]) / (2 * w**2)
    valid = torch.isfinite(candidates) & (candidates > 0) & (candidates <= b)
    valid &= c1 - w * candidates >= 0
    distance = (candidates - native**2).abs().masked_fill(~valid, torch.inf)
    chosen = candidates.gather(0, distance.argmin(0, keepdim=True))[0]
    feasible = valid.any(0)
    return torch.where(feasible, chosen.clamp(min=0).sqrt(), native), feasible


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

    def mean(self, weights: Tensor) -> Tensor:
        """The mean over all steps, as in the authors' code, or over the trained ones."""
        return weights.mean() if self.over == "all" else weights[self.trained].mean()

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


def _authors_variance(sampler: DDIM) -> tuple[float, Tensor, Tensor]:
    target, bars = variance_target(sampler), (sampler.alpha_bar, sampler.alpha_bar_prev)
    sigma, feasible = authors_ddim_sigma(*bars, target)
    eta = sampler.sigma / _native_ddim_sigma(*bars)
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


def flow_weights(t: Tensor, dt: Tensor, sigma: Tensor) -> Tensor:
    """Eq. (8): w = sqrt(dt) / sigma (1 + (1 - t) sigma^2 / (2 t)), sigma the SDE's noise level."""
    return torch.sqrt(dt) / sigma * (1 + (1 - t) * sigma**2 / (2 * t))


def proportional_flow_weights(t: Tensor, dt: Tensor, sigma: Tensor) -> Tensor:
    """Eq. (9): w' = zeta dt, zeta = sum(w) / sum(dt), over the given steps.

    For scripts; the rule below takes the published `zeta`, which is that of all steps.
    """
    return flow_weights(t, dt, sigma).sum() / dt.sum() * dt


def zeta(sampler: FlowSDE) -> float:
    """zeta of Eq. (9) as published: the sum of the native weights over all N steps.

    13.343 for DanceGRPO (eta 0.3, 16 steps, shift 3). For Flow-GRPO (a = 0.7, 10 steps) the
    authors' 4.3152134639895925 is the sum on the grid with the shift applied once. There sigma is
    infinite at the first step, which takes the weight of the second. They use this zeta on the
    official sampler, whose grid is shifted twice (there the sum is 5.71), and so do we.
    """
    t, dt = sampler.t_once[:-1], -sampler.t_once.diff()
    weights = flow_weights(t, dt, sampler.sigma_once)
    if not torch.isfinite(weights[0]):
        weights = torch.cat([weights[1:2], weights[1:]])
    return float(weights.sum() / dt.sum())


@rule("proportional", "flow")
def _flow_proportional(given: _Given) -> CreditSchedule:
    sampler = given.sampler
    assert isinstance(sampler, FlowSDE)
    if given.over == "all":
        total = zeta(sampler)
    else:
        total = float(given.native[given.trained].sum() / sampler.dt[given.trained].sum())
    return given.schedule(total, weights=total * sampler.dt)


@rule("uniform", "flow")
def _uniform(given: _Given) -> CreditSchedule:
    constant = given.mean(given.native)
    return given.schedule(float(constant), weights=given.constant(constant))


# --- the schedule of an arm ---------------------------------------------------------------------


def native_weights(sampler: Sampler) -> Tensor:
    """The weight `(T,)` of a change of the prediction in the log-ratio of each sampler step."""
    if isinstance(sampler, DDIM):
        return ddim_weights(sampler.alpha_bar, sampler.alpha_bar_prev, sampler.sigma)
    if isinstance(sampler, FlowSDE):
        return flow_weights(sampler.t, sampler.dt, sampler.sigma)
    raise TypeError(f"no credit schedule for {type(sampler).__name__}")


def credit_schedule(
    kind: str, sampler: Sampler, skip_last: bool, over: Over = "all"
) -> CreditSchedule:
    """The schedule of an arm's `credit` for a sampler with its native sigmas.

    over: the steps that enter the mean (the constant weight) or the sum (zeta). Raises ValueError
    for a rule that the sampler does not have.
    """
    native = native_weights(sampler)
    trained = torch.ones(len(sampler), dtype=torch.bool)
    trained[-1] = not skip_last
    rules = RULES["ddim" if isinstance(sampler, DDIM) else "flow"]
    if kind not in rules:
        raise ValueError(
            f"credit '{kind}' makes no sense with {type(sampler).__name__}; it has "
            f"{', '.join(rules)}"
        )
    return rules[kind](_Given(sampler, native, trained, over))


def arm_sampler(
    experiment: Experiment, arm: Arm, scheduler_config: dict[str, Any]
) -> tuple[Sampler, CreditSchedule]:
    """An arm's credit schedule, and the sampler with its sigmas by which the arm is trained.

    scheduler_config: of the pipeline's scheduler, as in `samplers.build`.
    """
    native = samplers.build(experiment.sampler, scheduler_config)
    schedule = credit_schedule(arm.credit, native, experiment.timesteps.skip_last, arm.over)
    return native.with_sigma(schedule.sigmas), schedule
