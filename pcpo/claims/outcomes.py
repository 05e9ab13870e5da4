"""Procedures on primary outcomes: one value per run from its reward on fixed validation images.

The difference of two arms is taken within each training seed. With one seed there is a value and no
interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from pcpo.analysis.outcomes import (
    LEVEL_FRACTION,
    Curves,
    areas,
    epochs_to,
    shared_ends,
    shared_level,
    times_to,
    validation_curve,
)
from pcpo.claims.estimate import (
    PAIR,
    Arms,
    Estimate,
    against,
    of_logs,
    of_runs,
    procedure,
    runs_per_arm,
)
from pcpo.claims.evidence import Evidence, NotRun, split
from pcpo.compared import COMPARED
from pcpo.stats.ratio_of_means import ratio_of_means
from pcpo.stats.restricted import restricted_log_ratios

SHARES = np.linspace(0.1, 1.0, 10)  # of the shared rise, at which fronts of reward and KL compare


@procedure(paired=True)
def validation_area(
    evidence: Evidence,
    number: int,
    *,
    arms: Arms = PAIR,
    chain: tuple[str, ...] = (),
    share_of: Arms | None = None,
) -> Estimate:
    """Area under the validation curve above the base model's reward, divided by its length: the
    mean gain over training. One arm minus another.

    chain: arms whose seeds and epochs alone count, so that the steps of a chain add up.
    share_of: two more arms; `why` has the estimate as a share of their difference, with its
    interval (`pcpo.stats.ratio_of_means`), of the seeds that all four have.
    """
    every = _curves(evidence, number, [*arms, *chain])
    one, other = areas(every)[:2]
    found = of_runs(one - other, f"to epoch {_span(shared_ends(every))}")
    if share_of:
        found = replace(found, why=f"{found.why}; {_share(evidence, number, arms, share_of)}")
    return against(found, one - other, other)


def _share(evidence: Evidence, number: int, arms: Arms, whole: Arms) -> str:
    name = f"{whole[0]} minus {whole[1]}"
    try:
        one, other, third, fourth = areas(_curves(evidence, number, [*arms, *whole]))
    except NotRun as missing:
        return f"no share of {name}: {missing}"
    found = ratio_of_means(one - other, third - fourth)
    if found.n < 2:
        return f"no share of {name}: {runs_per_arm(found.n)}"
    if math.isnan(found.low):
        return f"no share of {name}: that is not told from 0 ({runs_per_arm(found.n)})"
    low, high = (f"{100 * bound:.3g}" for bound in (found.low, found.high))
    return f"{100 * found.mean:.3g} % ({low} to {high}) of {name}"


@procedure(paired=True)
def area_interaction(
    evidence: Evidence,
    number: int,
    *,
    arms: Arms,
    beside: Arms,
    compare: Literal["difference", "ratio"] = "difference",
) -> Estimate:
    """Difference of two arms' areas (`validation_area`), minus the difference of two others.

    Whether a change that the first pair has is worth more than the same change beside it. The
    reference is the area of the second arm of `arms`. As a ratio: the first pair's ratio of areas
    over the second's, geometric over runs; of arms that all gain (Estimate.blocked otherwise).
    """
    pairs = _curves(evidence, number, [*arms, *beside])
    one, other, third, fourth = every = areas(pairs)
    span = f"to epoch {_span(shared_ends(pairs))}"
    if compare == "ratio":
        if every.min() <= 0:
            why = "an arm does not gain in every run: no ratio"
            return Estimate(math.nan, null=1.0, runs=len(one), blocked=why)
        return of_logs(of_runs(np.log(one / other) - np.log(third / fourth), span), "ratio")
    difference = (one - other) - (third - fourth)
    return against(of_runs(difference, span), difference, other)


@procedure()
def epochs_to_level(
    evidence: Evidence, number: int, *, fraction: float = LEVEL_FRACTION, arms: Arms = PAIR
) -> Estimate:
    """Speed-up of the first arm over the second in percent: 100 (epochs / epochs - 1), to the
    validation reward at `fraction` of the way from the base model to where baseline and PCPO end.

    Over seeds the mean is geometric. A run that ends below the level counts as its last epoch
    (`pcpo.stats.restricted`).
    """
    level = _level(evidence, number, fraction)
    one, other = _curves(evidence, number, arms)
    if math.isnan(level):
        return _no_level(len(one))
    times, ends = times_to([other, one], level), shared_ends([other, one])
    found = restricted_log_ratios(times[0], times[1], ends)
    named = {arms[1]: times[0], arms[0]: times[1]}
    means = {arm: np.exp(np.log(np.clip(t, 1, ends)).mean()) for arm, t in named.items()}
    epochs = ", ".join(f"{arm} {mean:.3g}" for arm, mean in means.items())
    why = f"validation reward {level:.4g}; epochs: {epochs}{_cut([*named], found.cut, len(ends))}"
    estimate = of_logs(of_runs(found.logs, why), "percent")
    return replace(estimate, censored=any(found.cut))


@procedure()
def larger_step(
    evidence: Evidence,
    number: int,
    *,
    chain: tuple[str, ...],
    than: str,
    fraction: float = LEVEL_FRACTION,
) -> Estimate:
    """Speed-up of the last step of a chain of arms over that of the step to the arm `than`, in
    percent: both steps in epochs to a validation reward, as for `epochs_to_level`.

    `than` is an arm of the chain between the first and the last (`pcpo.claims.claim` checks it).

    Blocked where a run of the two steps ends below the level: a step that is cut is shortened, and
    the other one may then look larger than it (`pcpo.stats.restricted`).
    """
    level = _level(evidence, number, fraction)
    curves = _curves(evidence, number, chain)
    if math.isnan(level):
        return _no_level(len(curves[0]))
    times, ends = times_to(curves, level), shared_ends(curves)
    place = chain.index(than)
    last, other = (
        restricted_log_ratios(times[i - 1], times[i], ends) for i in (len(chain) - 1, place)
    )
    why = f"validation reward {level:.4g}; {chain[-2]} -> {chain[-1]} over {chain[place - 1]} -> "
    found = of_logs(of_runs(last.logs - other.logs, why + than), "percent")
    if not any((*last.cut, *other.cut)):
        return found
    steps = dict(zip((chain[-2], chain[-1]), last.cut, strict=True))
    steps |= dict(zip((chain[place - 1], than), other.cut, strict=True))
    who = _below([*steps], [*steps.values()], len(ends))
    return replace(found, blocked=f"{who} end below the level, which can enlarge the difference")


@procedure(paired=True)
def kl_at_reward(evidence: Evidence, number: int, *, arms: Arms = PAIR) -> Estimate:
    """KL divergence from the base model at equal validation reward, one arm minus another.

    Each run is a front of reward and KL: the KL when the run is first at a reward. The two fronts
    of a seed are compared at ten rewards, evenly spread up to the highest that both reach, and the
    mean difference is taken. Where validation uses a moving average of the weights, the KL is still
    that of the weights themselves.
    """
    one, other = _curves(evidence, number, arms)
    updates = [split(evidence.rows("updates", number, arm)) for arm in arms]
    differences, references = [], []
    for seed in one:
        pair = [one[seed], other[seed]]
        base, top = pair[0][0, 1], min(curve[:, 1].max() for curve in pair)
        if top <= base:
            why = f"seed {seed}: an arm never rises above the base model"
            return Estimate(math.nan, n=runs_per_arm(len(one)), runs=len(one), blocked=why)
        rewards = np.minimum(base + SHARES * (top - base), top)
        fronts = [
            _front(runs.get(seed), curve, rewards)
            for runs, curve in zip(updates, pair, strict=True)
        ]
        if any(np.isnan(front).any() for front in fronts):
            raise NotRun(f"configuration {number} has no KL divergence in every epoch")
        differences.append(float((fronts[0] - fronts[1]).mean()))
        references.append(float(fronts[1].mean()))
    found = of_runs(differences, f"at {len(SHARES)} rewards that both arms reach")
    return against(found, differences, references)


def _front(updates: pd.DataFrame | None, curve: np.ndarray, rewards: np.ndarray) -> np.ndarray:
    """KL (rewards,) at the times at which the curve is first at each reward.

    The curve has the reward after all updates of an epoch. An update's KL is that of the weights
    before its step: of update u of U in epoch e at e - 1 + (u - 1) / U epochs. No trailing
    mean is taken: an older KL is smaller, and most of all in the faster arm.
    """
    if updates is None:
        return np.full(len(rewards), np.nan)
    rows = updates.sort_values(["epoch", "update"])
    each = rows.groupby("epoch")["update"].transform("size")
    times = rows["epoch"] - 1 + (rows["update"] - 1) / each
    return np.interp([epochs_to(curve, reward) for reward in rewards], times, rows["kl"])


def _curves(evidence: Evidence, number: int, arms: Sequence[str]) -> list[Curves]:
    """Validation curves of each arm. Raises NotRun where a reward is no number."""
    found: list[Curves] = [
        {seed: validation_curve(rows) for seed, rows in of_arm.items()}
        for of_arm in evidence.seeds("validation", number, arms)
    ]
    for arm, of_arm in zip(arms, found, strict=True):
        for seed, curve in of_arm.items():
            if not np.isfinite(curve).all():
                epochs = curve[~np.isfinite(curve).all(axis=1), 0]
                raise NotRun(
                    f"configuration {number}: the validation reward of arm '{arm}', seed {seed}, "
                    f"is no number at epoch {epochs[0]:g}"
                )
    return found


def _level(evidence: Evidence, number: int, fraction: float) -> float:
    curves = _curves(evidence, number, COMPARED)
    return shared_level(dict(zip(COMPARED, curves, strict=True)), fraction)


def _no_level(runs: int) -> Estimate:
    why = "no level: an arm's mean final validation reward is not above the base model's"
    return Estimate(math.nan, n=runs_per_arm(runs), runs=runs, blocked=why)


def _below(arms: Sequence[str], cut: Sequence[int], runs: int) -> str:
    """E.g. "1 of 8 runs of baseline and 2 of 8 runs of pcpo"; "" where none is cut."""
    who = [f"{n} of {runs} runs of {arm}" for arm, n in zip(arms, cut, strict=True) if n]
    return " and ".join(who)


def _cut(arms: Sequence[str], cut: Sequence[int], runs: int) -> str:
    who = _below(arms, cut, runs)
    return f"; {who} end below it and count as the last epoch" if who else ""


def _span(ends: Iterable[float]) -> str:
    found = sorted({*ends})
    return f"{found[0]:g}" if len(found) == 1 else f"{found[0]:g} to {found[-1]:g}"
