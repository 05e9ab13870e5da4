"""Procedures that check a statement row by row: it is true or false for this run."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd
from scipy import stats

from pcpo.analysis.taylor import largest_errors
from pcpo.claims.estimate import Estimate, procedure
from pcpo.claims.evidence import Evidence, NotRun, chosen

Column = Literal["clip_fraction", "gated_fraction", "log_ratio_std"]
Sampler = Literal["ddim_50", "dance_16", "flow_10"]  # of `frames.READINGS`
Constant = Literal["weight", "zeta_dancegrpo", "zeta_flow_grpo"]
# Sampler, column of `frames.READINGS` and value: jaylee2000/rsm e8be3df (const_weight /
# weight_scale_factor, zeta of Flow-GRPO); DanceGRPO's zeta from a note on the ICLR version.
CONSTANTS: dict[str, tuple[Sampler, str, float]] = {
    "weight": ("ddim_50", "weight", 4.5 / 8.70575076181),
    "zeta_dancegrpo": ("dance_16", "target", 13.343),
    "zeta_flow_grpo": ("flow_10", "target", 4.3152134639895925),
}
Updates = Literal["all", "first"]


@procedure(exact=True)
def always_zero(
    evidence: Evidence,
    number: int,
    *,
    of: Column,
    arm: str,
    updates: Updates = "first",
) -> Estimate:
    """Exact: a column of the update log is 0 in every update; `first`: in every on-policy one."""
    values = chosen(evidence.rows("updates", number, arm), updates)[of].to_numpy()
    nonzero = int(np.count_nonzero(values))
    why = f"largest value {np.abs(values).max():.3g}; not 0 in {nonzero} of {len(values)} updates"
    return Estimate(float(values.mean()), n=f"{len(values)} updates", why=why, exact=nonzero == 0)


@procedure(exact=True)
def not_always_zero(
    evidence: Evidence,
    number: int,
    *,
    of: Column,
    arm: str,
    updates: Updates = "first",
) -> Estimate:
    """Exact: the opposite of `always_zero`."""
    found = always_zero(evidence, number, of=of, arm=arm, updates=updates)
    return replace(found, exact=not found.exact)


@procedure(exact=True)
def ratio_near_one(evidence: Evidence, number: int, *, arm: str, clip_ranges: float) -> Estimate:
    """Exact: the ratio's standard deviation is at most `clip_ranges` clip ranges everywhere."""
    rows = evidence.rows("updates", number, arm)
    spread = rows["ratio_std"] / rows["clip_range"]
    return Estimate(
        float(spread.max()),
        n=f"{len(rows)} updates",
        why=f"largest ratio sd {rows['ratio_std'].max():.2g}, clip range "
        f"{rows['clip_range'].iloc[0]:.2g}; the limit is {clip_ranges:g} clip ranges",
        exact=bool((spread <= clip_ranges).all()),
    )


@procedure(exact=True)
def norm_below_limit(evidence: Evidence, number: int, *, arm: str) -> Estimate:
    """Exact: no update's gradient norm is above `optimizer.max_grad_norm`, so that the limit could
    be lifted without a change.
    """
    rows = evidence.rows("updates", number, arm)
    limit = evidence.experiments[number].optimizer.max_grad_norm
    above = int((~(rows["grad_norm"] <= limit)).sum())  # a norm that is no number is one
    largest = float(rows["grad_norm"].max(skipna=False))
    why = f"largest norm {largest:.3g}; above the limit of {limit:g} in {above} updates"
    return Estimate(largest / limit, n=f"{len(rows)} updates", why=why, exact=above == 0)


@procedure(exact=True)
def taylor_error(evidence: Evidence, number: int, *, arm: str, percent: float) -> Estimate:
    """Exact: the relative error of log(ratio) for ratio - 1 is at most `percent` everywhere."""
    rows = evidence.rows("updates", number, arm)
    largest = 100 * float(largest_errors(rows).max(skipna=False))
    why = f"log-ratios from {rows['log_ratio_q00'].min():.2g} to {rows['log_ratio_q100'].max():.2g}"
    return Estimate(largest, n=f"{len(rows)} updates", why=why, exact=largest <= percent)


def _reading(evidence: Evidence, sampler: Sampler, reading: str) -> pd.DataFrame:
    """The steps of one of the paper's samplers under a reading of its credit."""
    rows = evidence.frame("readings")
    rows = rows[(rows["sampler"] == sampler) & (rows["reading"] == reading)]
    if rows.empty:
        raise NotRun(f"no reading '{reading}' of the sampler {sampler}")
    return rows.sort_values("step")


@procedure(exact=True)
def weight_range(evidence: Evidence, number: int, *, sampler: Sampler, at_least: float) -> Estimate:
    """Exact: the largest native weight of the trained steps is `at_least` times the smallest."""
    rows = _reading(evidence, sampler, "baseline")
    weights = rows.loc[rows["trained"].astype(bool), "native_weight"]
    ratio = float(weights.max() / weights.min())
    return Estimate(
        ratio,
        n=f"{len(weights)} steps",
        why=f"native weights {weights.min():.3g} to {weights.max():.3g}",
        null=1.0,
        exact=ratio >= at_least,
    )


@procedure(exact=True)
def solvable_everywhere(
    evidence: Evidence, number: int, *, sampler: Sampler, reading: str
) -> Estimate:
    """Exact: on every step of the sampler a variance exists that solves the reading's equation."""
    rows = _reading(evidence, sampler, reading)
    solved = int(rows["feasible"].astype(bool).sum())
    return Estimate(
        solved / len(rows),
        n=f"{len(rows)} steps",
        why=f"a variance exists on {solved} of {len(rows)} steps",
        exact=solved == len(rows),
    )


@procedure(exact=True)
def weight_constant(evidence: Evidence, number: int, *, sampler: Sampler, reading: str) -> Estimate:
    """Exact: the weight (c1 - c2) / sigma of the sampler that runs is the same on every step.

    The estimate is the largest over the smallest, compared to seven digits.
    """
    own = _reading(evidence, sampler, reading)["own_weight"]
    ratio = float(own.max() / own.min())
    return Estimate(
        ratio,
        n=f"{len(own)} steps",
        why=f"the sampler's weights are {own.min():.3g} to {own.max():.3g}, mean {own.mean():.3g}",
        null=1.0,
        exact=ratio - 1 < 1e-7,
    )


@procedure(exact=True)
def variance_ratio(
    evidence: Evidence, number: int, *, sampler: Sampler, reading: str, at_most: float
) -> Estimate:
    """Exact: where the reading solves for a step's variance, it changes by at most this factor.

    Only steps on which its equation has a solution count; the others keep the native variance.
    """
    rows = _reading(evidence, sampler, reading)
    solved = rows[rows["feasible"].astype(bool)]
    if solved.empty:
        raise NotRun(f"reading '{reading}': no step has a variance")
    sigma = solved["sigma"] / solved["native_sigma"]
    ratio = sigma**2
    farthest = float(max(ratio, key=lambda r: max(r, 1 / r)))
    return Estimate(
        farthest,
        n=f"{len(solved)} steps",
        why=f"variance over the native one {ratio.min():.2f} to {ratio.max():.2f}, median "
        f"{ratio.median():.2f}; standard deviation {sigma.min():.2f} to {sigma.max():.2f}",
        null=1.0,
        exact=max(farthest, 1 / farthest) <= at_most,
    )


@procedure(exact=True)
def published_constant(evidence: Evidence, number: int, *, constant: Constant) -> Estimate:
    """Exact: a constant of PCPO's schedule is the authors', to 5 in 10,000, on every step."""
    sampler, column, value = CONSTANTS[constant]
    found = _reading(evidence, sampler, "pcpo")[column]
    mean = float(found.mean())
    same = found.max() - found.min() < 1e-9 and abs(mean / value - 1) < 5e-4
    return Estimate(mean, n=f"{len(found)} steps", why=f"theirs is {value:.5g}", exact=bool(same))


@procedure(exact=True)
def short_steps_weigh_more(evidence: Evidence, number: int, *, sampler: Sampler) -> Estimate:
    """Exact: the native weight per interval falls with the interval (under proportional credit it
    is the same on all steps): Spearman's rank correlation over the trained steps is negative.
    """
    rows = _reading(evidence, sampler, "baseline")
    rows = rows[rows["trained"].astype(bool)].sort_values("interval")
    share = rows["native_weight"] / rows["interval"]
    found = float(stats.spearmanr(rows["interval"], share).statistic)
    why = f"{share.iloc[0]:.3g} per interval on the shortest, {share.iloc[-1]:.3g} on the longest"
    return Estimate(found, n=f"{len(rows)} steps", why=why, exact=found < 0)
