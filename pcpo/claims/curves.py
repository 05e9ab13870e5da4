"""Procedures on training curves: one value per epoch, one curve per training seed.

`pcpo.claims.outcomes` has those on validation curves, which decide the primary claims.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd

from pcpo.analysis.phases import Phases, find_phases, instead
from pcpo.claims.estimate import PAIR, Arms, Estimate, against, of_logs, over_epochs, procedure
from pcpo.claims.evidence import Evidence, NotRun, chosen
from pcpo.claims.rows import at_level, of_speedup
from pcpo.compared import COMPARED

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

# The phases of a comparison, each added or subtracted.
_PARTS: dict[str | None, tuple[tuple[str, int], ...]] = {
    None: (("", 1),),
    "first": (("first", 1),),
    "near": (("near", 1),),
    "since_first": (("near", 1), ("first", -1)),
}


@procedure()
def speedup(evidence: Evidence, number: int, *, level: Literal[1, 2, 3, 4] = 1) -> Estimate:
    """Speed-up in percent to a level of the training reward, as in Table 10; 1 is the highest.

    Epochs in `why` are whole; the speed-up uses crossings interpolated between them.
    """
    evidence.name(number)
    table = evidence.table("table10")
    rows = table[table["number"] == number]
    if rows.empty or not (rows["runs"] > 0).any():
        why = "".join(f": {reason}" for reason in rows["no_level"].unique() if reason)
        raise NotRun(f"configuration {number} has no reward level to compare the arms at{why}")
    if level not in set(rows["level_rank"]):
        raise NotRun(f"configuration {number} has no reward level number {level}")
    row = rows[rows["level_rank"] == level].iloc[0]
    crossed, runs = [], int(row["runs"])
    for arm, label in (("baseline", "baseline"), ("pcpo", "PCPO")):
        reached = int(row[f"{arm}_reached"])
        if reached == runs:
            crossed.append(f"{label} at epoch {row[f'{arm}_epochs']:.4g}")
        else:
            crossed.append(f"{label} {at_level(reached, runs)} by epoch {row[f'{arm}_run']:.0f}")
    why = f"level {row['reward_level']:.4g}: {', '.join(crossed)}; {row['interval']}"
    return of_speedup(row, why)


@procedure(paired=True)
def epoch_mean(
    evidence: Evidence,
    number: int,
    *,
    of: Curve,
    arms: Arms = PAIR,
    compare: Literal["difference", "ratio"] = "difference",
    change: bool = False,
    last: float | None = None,
    phase: Literal["first", "near", "since_first"] | None = None,
) -> Estimate:
    """Difference (or ratio) of two arms' curves by epoch, then the mean over epochs.

    `change`: use the absolute change from one epoch to the next. `last: 0.25`: the last quarter of
    the run. `phase`: the five epochs of a phase of Figure 11 (`pcpo.analysis.phases`). Those near
    convergence follow an arm's own crossing; the k-th epoch of one arm is then compared with the
    k-th of the other. `since_first`: those near convergence relative to the arm's own first ones,
    the k-th to the k-th, because the scale of a gradient differs between objectives from the start.
    A ratio is geometric. The reference of a relative margin is the second arm's mean over the same
    epochs; with `phase` there is none. One seed: t interval over the means of at most ten stretches
    of consecutive epochs. For wall time it says nothing, because other load on the machine affects
    all epochs of a run alike.
    """
    one, other = evidence.seeds("curves", number, arms)
    phases = _phases(evidence, number, arms) if phase else {}
    series, references = [], []
    for seed in one:
        whole = [_curve(runs[seed], of, change, last) for runs in (one, other)]
        value = np.zeros(1)
        for part, sign in _PARTS[phase]:
            pair = whole
            if part:
                epochs = [getattr(phases[arm, seed], part) for arm in arms]
                pair = [_renumbered(c, e) for c, e in zip(whole, epochs, strict=True)]
            both = pd.concat(pair, axis=1, join="inner").to_numpy().T
            if not both.size or not np.isfinite(both).all():
                raise NotRun(f"configuration {number} has no '{of}' in every epoch")
            if compare == "ratio" and (both <= 0).any():
                why = f"'{of}' is 0 in some epochs: no ratio"
                return Estimate(math.nan, blocked=why, null=1.0, runs=len(one))
            if not phase:
                references.append(float(both[1].mean()))
            value = value + sign * np.subtract(*(np.log(both) if compare == "ratio" else both))
        series.append(value)
    found = over_epochs(series)
    if phase in ("near", "since_first") and (exception := instead(phases, {})):
        found = replace(found, why="; ".join(filter(None, [found.why, exception])))
    if of == "seconds" and len(series) == 1:
        found = replace(found, why=f"{found.why}; other load can cause the difference")
    if compare == "ratio":
        return of_logs(found, "ratio")
    if not references:
        return found
    return against(found, [float(values.mean()) for values in series], references)


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


def _phases(evidence: Evidence, number: int, arms: Arms) -> dict[tuple[str, int], Phases]:
    """Phases of the arms' runs, and of the runs that levels are derived from."""
    every = [run for arm in {*arms, *COMPARED} for run in evidence.curves(number, arm).values()]
    return find_phases(pd.concat(every), evidence.experiments[number].evaluation)


def _renumbered(curve: pd.Series, epochs: range) -> pd.Series:
    """The values at `epochs`, numbered from 0."""
    return curve.reindex(epochs).set_axis(range(len(epochs)))


def _curve(run: pd.DataFrame, of: str, change: bool, last: float | None) -> pd.Series:
    """A column by epoch; `last`: only the last share of the epochs."""
    curve = run.set_index("epoch")[of]
    if change:
        curve = curve.diff().abs().iloc[1:]
    if last is not None:
        curve = curve.iloc[-math.ceil(last * len(curve)) :]
    return curve
