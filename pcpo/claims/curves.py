"""Procedures on training curves: one value per epoch, one curve per training seed."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from pcpo.analysis.phases import Phases, find_phases, instead
from pcpo.analysis.reward_levels import LEVEL_ARMS, reward_levels, why_none
from pcpo.claims.estimate import (
    ONE_RUN,
    PAIR,
    Arms,
    Estimate,
    Z,
    of_interval,
    over_epochs,
    procedure,
    runs_per_arm,
)
from pcpo.claims.evidence import Evidence, NotRun, chosen
from pcpo.stats.intervals import t_interval
from pcpo.stats.speedup import first_crossing, interpolated_crossing
from pcpo.stats.speedup_interval import FEWEST, resampled_crossings

Curve = Literal[
    "reward_mean",
    "clip_fraction",
    "clip_fraction_on_policy",
    "clip_fraction_off_policy",
    "gated_fraction",
    "gated_fraction_on_policy",
    "gated_fraction_off_policy",
    "authors_clip_fraction",
    "authors_clip_fraction_on_policy",
    "authors_clip_fraction_off_policy",
    "kl",
    "gradient_abs_mean",
    "gradient_abs_var",
    "seconds",
]


@procedure()
def speedup(
    evidence: Evidence, number: int, *, level: Literal[1, 2, 3, 4, "every"] = 1
) -> Estimate:
    """Speed-up in percent to a reward level, as in Table 10; level 1 is the highest.

    Epochs in `why` are whole; the speed-up uses crossings interpolated between them.
    `every`: the level that decides whether PCPO is faster at all levels.
    """
    evidence.name(number)
    table = evidence.table("table10")
    rows = table[table["number"] == number]
    if rows.empty or not (rows["runs"] > 0).any():
        why = "".join(f": {reason}" for reason in rows["no_level"].unique() if reason)
        raise NotRun(f"configuration {number} has no reward level to compare the arms at{why}")
    if level == "every":
        slower, unknown = rows[rows["speedup_high"] < 0], rows[rows["speedup_low"].isna()]
        deciding = next(part for part in (slower, unknown, rows) if len(part))
        row = deciding.iloc[int(deciding["speedup_low"].fillna(0).argmin())]
        where = f"level {row['reward_level']:.4g} decides, of {len(rows)}"
    elif level not in set(rows["level_rank"]):
        raise NotRun(f"configuration {number} has no reward level number {level}")
    else:
        row = rows[rows["level_rank"] == level].iloc[0]
        where = f"level {row['reward_level']:.4g}"
    crossed = [
        f"{label} at epoch {row[f'{arm}_epochs']:.4g}"
        if not math.isnan(row[f"{arm}_epochs"])
        else f"{label} not by epoch {row[f'{arm}_run']:.0f}"
        for arm, label in (("baseline", "baseline"), ("pcpo", "PCPO"))
    ]
    return Estimate(
        float(row["speedup_pct"]),
        float(row["speedup_low"]),
        float(row["speedup_high"]),
        n=runs_per_arm(int(row["runs"])),
        why=f"{where}: {', '.join(crossed)}; {row['interval']}",
    )


@procedure()
def largest_step(evidence: Evidence, number: int, *, chain: tuple[str, ...]) -> Estimate:
    """Speed-up of the last of a chain of arms over the one before, minus the largest of the other
    steps', in percentage points, at the highest level that all of them reach.

    One seed: block bootstrap of the curves, as for `speedup`.
    """
    found = evidence.seeds("curves", number, chain)
    runs = [{s: r["reward_mean"].to_numpy() for s, r in of_arm.items()} for of_arm in found]
    every = [run for of_arm in runs for run in of_arm.values()]
    n = runs_per_arm(len(runs[0]))
    levels = reward_levels(evidence.experiments[number].evaluation, every)
    reached = [at for at in levels if all(first_crossing(run, at) for run in every)]
    if not reached:
        why = why_none(every) or "the arms reach no level in common"
        return Estimate(math.nan, n=n, blocked=why)
    level = max(reached)
    crossed = [[interpolated_crossing(of_arm[seed], level) for seed in runs[0]] for of_arm in runs]
    points = _steps(np.array(crossed, dtype=np.float64))
    why = f"level {level:.4g}; steps {' -> '.join(chain)}"
    if len(points) > 1:
        return of_interval(t_interval(points), n, why)
    if min(map(len, every)) < FEWEST:
        return Estimate(points[0], n=n, blocked=f"a run has fewer than {FEWEST} epochs", why=why)
    rng = np.random.default_rng(0)
    draws = np.array([resampled_crossings(run, level, rng) for run in every])
    lost = float(np.isinf(draws).any(axis=0).mean())
    if lost > 0.025:
        blocked = f"in {100 * lost:.0f} % of the resamples an arm does not reach it"
        return Estimate(points[0], n=n, blocked=blocked, why=why)
    steps = _steps(draws[:, np.isfinite(draws).all(axis=0)])
    low, high = np.quantile(steps, [0.025, 0.975])
    low, high = min(low, points[0]), max(high, points[0])
    return Estimate(points[0], float(low), float(high), n, f"{why}; block bootstrap of one run")


@procedure()
def epoch_mean(
    evidence: Evidence,
    number: int,
    *,
    of: Curve,
    arms: Arms = PAIR,
    compare: Literal["difference", "ratio"] = "difference",
    change: bool = False,
    last: float | None = None,
    phase: Literal["first", "near"] | None = None,
) -> Estimate:
    """Difference (or ratio) of two arms' curves by epoch, then the mean over epochs.

    `change`: use the absolute change from one epoch to the next. `last: 0.25`: the last quarter of
    the run. `phase`: the five epochs of a phase of Figure 11 (`pcpo.analysis.phases`). Those near
    convergence follow an arm's own crossing; the k-th epoch of one arm is then compared with the
    k-th of the other. A ratio is geometric. One seed: t interval over the means of at most ten
    stretches of consecutive epochs. For wall time it decides nothing, because other load on the
    machine affects all epochs of a run alike.
    """
    one, other = evidence.seeds("curves", number, arms)
    phases = _phases(evidence, number, arms) if phase else {}
    series = []
    for seed in one:
        pair = [_curve(runs[seed], of, change, last) for runs in (one, other)]
        if phase:
            epochs = [getattr(phases[arm, seed], phase) for arm in arms]
            pair = [c.reindex(e).set_axis(range(len(e))) for c, e in zip(pair, epochs, strict=True)]
        both = pd.concat(pair, axis=1, join="inner").to_numpy().T
        if not both.size or not np.isfinite(both).all():
            raise NotRun(f"configuration {number} has no '{of}' in every epoch")
        if compare == "ratio" and (both <= 0).any():
            return Estimate(math.nan, blocked=f"'{of}' is 0 in some epochs: no ratio", null=1.0)
        series.append(np.log(both[0] / both[1]) if compare == "ratio" else both[0] - both[1])
    found = over_epochs(series)
    if phase == "near" and (exception := instead(phases, {})):
        found = replace(found, why="; ".join(filter(None, [found.why, exception])))
    if of == "seconds" and len(series) == 1:
        found = replace(found, blocked="with one run per arm, other load can cause the difference")
    if compare == "ratio":
        ends = np.exp([found.value, found.low, found.high])
        found = replace(found, value=ends[0], low=ends[1], high=ends[2], null=1.0)
    return found


@procedure()
def authors_clipping(evidence: Evidence, number: int, *, arms: Arms = PAIR) -> Estimate:
    """Clip fraction as the authors count it, one arm minus another, mean over epochs.

    Both sides count for an arm that computes a ratio, one side for an arm that matches predictions.
    `why` says how much of the difference is left when both sides count for both arms.
    """
    found = epoch_mean(evidence, number, of="authors_clip_fraction", arms=arms)
    alike = epoch_mean(evidence, number, of="clip_fraction", arms=arms)
    why = f"counted on both sides for both arms {alike.value:+.3g}"
    computed = {
        str(kind) for arm in arms for kind in evidence.rows("updates", number, arm)["ratio_from"]
    }
    if len(computed) > 1:
        part = found.value - alike.value
        share = 100 * part / found.value if found.value else math.nan
        of_it = f", {share:.0f} % of the gap" if 0 <= share <= 100 else ""
        why += f", so that the definition makes {part:+.3g}{of_it}"
    return replace(found, why="; ".join(filter(None, [why, found.why])))


@procedure()
def arm_mean(
    evidence: Evidence,
    number: int,
    *,
    of: Literal["ratio_mean", "ratio_std", "log_ratio_std", "clip_fraction"],
    arm: str,
    null: float = 0.0,
    updates: Literal["all", "first"] = "all",
) -> Estimate:
    """Mean over epochs of a column of one arm's update log; `first`: only on-policy updates.

    One seed: t interval over the means of at most ten stretches of consecutive epochs.
    """
    series = [
        chosen(rows, updates).groupby("epoch")[of].mean().to_numpy()
        for (rows,) in zip(
            *[runs.values() for runs in evidence.seeds("updates", number, [arm])], strict=True
        )
    ]
    return replace(over_epochs(series), null=null)


@procedure()
def validation_reward(evidence: Evidence, number: int, *, arms: Arms = PAIR) -> Estimate:
    """Reward on the fixed validation prompts, one arm minus another, mean over the epochs at which
    both were validated (without epoch 0, the base model).

    One seed: normal interval. The same prompts are scored each time, so the mean over epochs gets
    the standard error of a single epoch.
    """
    one, other = evidence.seeds("validation", number, arms)
    means, errors, epochs = [], [], 0
    for seed in one:
        pair = [runs[seed][runs[seed]["epoch"] > 0].set_index("epoch") for runs in (one, other)]
        both = pair[0].join(pair[1], how="inner", lsuffix="_1", rsuffix="_2")
        if both.empty:
            raise NotRun(f"configuration {number}: no epoch at which both arms were validated")
        means.append(float((both["reward_mean_1"] - both["reward_mean_2"]).mean()))
        variance = sum(both[f"reward_std_{k}"] ** 2 / both[f"images_{k}"] for k in (1, 2))
        errors.append(float(np.sqrt(variance).mean()))
        epochs = len(both)
    if len(means) > 1:
        return of_interval(t_interval(means), runs_per_arm(len(means)), "")
    half = Z * errors[0]
    return Estimate(means[0], means[0] - half, means[0] + half, f"{epochs} epochs", ONE_RUN)


def _steps(crossings: np.ndarray) -> np.ndarray:
    """(arms, R) epochs -> (R,) speed-up of the last step minus the largest other, in points."""
    speedups = 100.0 * (crossings[:-1] / crossings[1:] - 1.0)
    difference: np.ndarray = speedups[-1] - speedups[:-1].max(axis=0)
    return difference


def _phases(evidence: Evidence, number: int, arms: Arms) -> dict[tuple[str, int], Phases]:
    """Phases of the arms' runs, and of the runs that levels are derived from."""
    every = [run for arm in {*arms, *LEVEL_ARMS} for run in evidence.curves(number, arm).values()]
    return find_phases(pd.concat(every), evidence.experiments[number].evaluation)


def _curve(run: pd.DataFrame, of: str, change: bool, last: float | None) -> pd.Series:
    """A column by epoch; `last`: only the last share of the epochs."""
    curve = run.set_index("epoch")[of]
    if change:
        curve = curve.diff().abs().iloc[1:]
    if last is not None:
        curve = curve.iloc[-math.ceil(last * len(curve)) :]
    return curve
