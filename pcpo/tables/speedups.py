"""Shared by Tables 1 and 10: epochs to a reward level, and the speed-up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pcpo.analysis.curves import epoch_curves
from pcpo.analysis.reward_levels import LEVEL_FRACTIONS, level_fractions, reward_levels, why_none
from pcpo.compared import COMPARED
from pcpo.stats.speedup import WINDOW
from pcpo.stats.speedup_interval import ONE_RUN, compare_runs
from pcpo.tables import labels, notes
from pcpo.tables.table import Column


def of_reading(
    curves: pd.DataFrame, experiment: Any | None, arm: str, level: float
) -> dict[str, float]:
    """epochs, speedup, low and high of an arm against the baseline; `known` where it was trained.

    A run that ends below the level has no epochs. Its speed-up is known only as a bound: at_least
    or at_most.
    """
    keys = ("epochs", "speedup", "at_least", "at_most", "low", "high", "run", "known")
    nothing = dict.fromkeys(keys, np.nan)
    runs = _runs(curves, experiment, ("baseline", arm))
    if not all(runs.values()) or np.isnan(level):
        return nothing
    found = compare_runs(runs["baseline"], runs[arm], level)
    return nothing | {
        "epochs": found.pcpo_epochs,
        "speedup": found.percent,
        "at_least": found.at_least,
        "at_most": found.at_most,
        "low": found.low,
        "high": found.high,
        "run": min(len(run) for run in runs[arm].values()),
        "known": 1.0,
    }


def reading_text(arm: str) -> Callable[[float, pd.Series], str]:
    """17, 5.3 % (-10.0 to 21.0); "> 20" where a run of 20 epochs ends below the level."""

    def text(_known: float, row: pd.Series) -> str:
        epochs, speedup, least, most, low, high = (
            row[f"{arm}_{key}"]
            for key in ("epochs", "speedup", "at_least", "at_most", "low", "high")
        )
        parts = [f"> {row[f'{arm}_run']:.0f}" if np.isnan(epochs) else f"{epochs:.0f}"]
        words = ((speedup, ""), (least, "at least "), (most, "at most "))
        parts += [f"{word}{value:.1f} %" for value, word in words if not np.isnan(value)]
        interval = "" if np.isnan(low) else f" ({low:.1f} to {high:.1f})"
        return ", ".join(parts) + interval

    return text


def _epochs_text(arm: str) -> Callable[[float, pd.Series], str]:
    """Epochs to the level; "> 20" where a run of 20 epochs ends below it."""

    def text(_known: float, row: pd.Series) -> str:
        if not np.isnan(row[f"{arm}_epochs"]):
            return f"{row[f'{arm}_epochs']:.0f}"
        return f"> {row[f'{arm}_run']:.0f}"

    return text


def _speedup_text(bound: float, row: pd.Series) -> str:
    if not np.isnan(row["speedup_pct"]):
        return f"{row['speedup_pct']:.1f} %"
    return f"at {'least' if bound == row['speedup_at_least'] else 'most'} {bound:.1f} %"


def _interval_text(low: float, row: pd.Series) -> str:
    return f"{low:.1f} to {row['speedup_high']:.1f}"


EPOCHS = (
    Column("baseline_known", "Baseline epochs", _epochs_text("baseline")),
    Column("pcpo_known", "PCPO epochs", _epochs_text("pcpo")),
    Column("speedup_known", "Speed-up", _speedup_text),
    Column("speedup_low", "95 % interval", _interval_text),
)


def speedups(
    experiments: Sequence[Any], updates: pd.DataFrame, numbers: Sequence[int]
) -> tuple[pd.DataFrame, list[str]]:
    numbered = labels.by_number(experiments)
    curves = epoch_curves(updates)
    rows, missing = [], []
    derived: dict[int, str] = {}
    none: dict[str, list[int]] = {}
    for number in numbers:
        experiment = numbered.get(number)
        runs = _runs(curves, experiment)
        if not all(runs.values()):
            missing.append(number)
        levels, fractions, why = _levels(experiment, runs)
        if fractions and not why and all(runs.values()):
            derived[number] = ", ".join(f"{100 * f:g}" for f in fractions)
        if why:
            none.setdefault(why, []).append(number)
        for rank, level in enumerate(levels, 1):
            rows.append(
                {
                    "number": number,
                    "level_rank": rank,
                    "baseline": labels.baseline(number, experiment, numbers),
                    "framework": labels.framework(number, experiment),
                    "reward": labels.SHORT_REWARDS[number],
                    "setting": labels.setting(number, experiment),
                    "reward_level": level,
                    "no_level": why,
                }
                | _speedup(runs, level)
            )
    footnotes = notes.missing_note(missing)
    for shares in dict.fromkeys(derived.values()):
        numbers_here = ", ".join(str(n) for n, s in derived.items() if s == shares)
        footnotes.append(
            f"Levels of configuration {numbers_here}: {shares} % of the way from the mean of the "
            f"first {WINDOW} epochs (the highest of the runs') to the highest trailing mean that "
            "every run of both arms reaches; the paper's levels belong to its own reward scale."
        )
    for why, without in none.items():
        footnotes.append(f"No level for configuration {', '.join(map(str, without))}: {why}.")
    frame = pd.DataFrame(rows)
    footnotes += [
        _CROSSING,
        *_interval_notes(frame),
        *([_CENSORED] if _censored(frame).any() else []),
    ]
    used = updates[updates["experiment"].isin([e.name for e in numbered.values()])]
    return frame, footnotes + notes.seed_note(used)


def _levels(
    experiment: Any | None, runs: dict[str, dict[int, np.ndarray]]
) -> tuple[tuple[float, ...], tuple[float, ...], str]:
    """(levels, their shares, why there is none); published levels have no shares.

    NaN for each level that is derived from a run that is not there.
    """
    if experiment is None:
        return (np.nan,) * len(LEVEL_FRACTIONS), (), ""
    every = [run for arm in runs.values() for run in arm.values()]
    levels = reward_levels(experiment.evaluation, every)
    if experiment.evaluation.reward_levels:
        return levels, (), ""
    fractions = level_fractions(experiment.evaluation)
    return levels or (np.nan,) * len(fractions), fractions, why_none(every) if every else ""


def _runs(
    curves: pd.DataFrame, experiment: Any | None, arms: tuple[str, str] = COMPARED
) -> dict[str, dict[int, np.ndarray]]:
    """Arm -> training seed -> rewards (epochs,), of the seeds that both arms were trained with."""
    if experiment is None:
        return {arm: {} for arm in arms}
    of_experiment = curves[curves["experiment"] == experiment.name]
    runs = {
        arm: {
            int(seed): run["reward_mean"].to_numpy()
            for seed, run in of_experiment[of_experiment["arm"] == arm].groupby("seed")
        }
        for arm in arms
    }
    both = set.intersection(*map(set, runs.values()))
    return {arm: {s: run for s, run in of_arm.items() if s in both} for arm, of_arm in runs.items()}


_NOTHING = dict.fromkeys(
    (
        *("baseline_epochs", "pcpo_epochs", "baseline_crossing", "pcpo_crossing"),
        *("speedup_pct", "speedup_low", "speedup_high"),
        *("speedup_at_least", "speedup_at_most", "baseline_run", "pcpo_run"),
        *("baseline_reached", "pcpo_reached", "baseline_known", "pcpo_known", "speedup_known"),
    ),
    np.nan,
) | {"runs": 0, "interval": ""}


def _speedup(runs: dict[str, dict[int, np.ndarray]], level: float) -> dict[str, Any]:
    """The cells of a row.

    `*_run` is the length of an arm's shortest run. `*_known` is the printed value: epochs or the
    run's length, the speed-up or its bound.
    """
    if not all(runs.values()) or np.isnan(level):
        return dict(_NOTHING)
    found = compare_runs(runs["baseline"], runs["pcpo"], level)
    cells: dict[str, Any] = {
        "baseline_epochs": found.baseline_epochs,
        "pcpo_epochs": found.pcpo_epochs,
        "baseline_crossing": found.baseline_crossing,
        "pcpo_crossing": found.pcpo_crossing,
        "speedup_pct": found.percent,
        "speedup_low": found.low,
        "speedup_high": found.high,
        "speedup_at_least": found.at_least,
        "speedup_at_most": found.at_most,
        "baseline_reached": found.baseline_reached,
        "pcpo_reached": found.pcpo_reached,
        "runs": found.runs,
        "interval": found.method,
    }
    for arm in COMPARED:
        cells[f"{arm}_run"] = min(len(run) for run in runs[arm].values())
        known = cells[f"{arm}_epochs"]
        cells[f"{arm}_known"] = cells[f"{arm}_run"] if np.isnan(known) else known
    bounds = (found.percent, found.at_least, found.at_most)
    cells["speedup_known"] = next((b for b in bounds if not np.isnan(b)), np.nan)
    return cells


def _censored(frame: pd.DataFrame) -> pd.Series:
    """For each row, whether a run ends below the level."""
    reached = frame[["baseline_reached", "pcpo_reached"]].min(axis=1)
    return (frame["runs"] > 0) & (reached < frame["runs"])


def _interval_notes(frame: pd.DataFrame) -> list[str]:
    found = []
    if (frame["interval"] == ONE_RUN).any():
        found.append(_BOOTSTRAP)
    for method in frame["interval"].str.split("; ").str[0].unique():
        if method.startswith("t interval"):
            found.append(f"Interval: {method}, {_SEEDS}")
        elif method.startswith("none"):
            found.append(f"Interval '-': {method.removeprefix('none: ')}.")
    return found


_CROSSING = (
    f"Epochs: the first whose trailing mean over {WINDOW} full epochs of the training reward is at "
    f"least the level, at the earliest {WINDOW}. Speed-up = 100 (baseline / PCPO - 1) % and its "
    "interval are of the crossings interpolated between epochs, and so differ a little from those "
    "of the epochs shown; the paper's are of whole epochs."
)
_BOOTSTRAP = (
    "Interval: moving-block bootstrap of the residuals around the smoothed reward curves, one run "
    "per arm. It is the noise of the epochs' mean rewards and leaves out the variation between "
    "training runs."
)
_SEEDS = (
    "on the log ratio of epochs of the two arms of a seed; epochs and speed-up are geometric means."
)
_CENSORED = (
    "'> 20': a run of 20 epochs ends below the level, so that its speed-up is known only as a "
    "bound; an interval end of -100 or inf means that the run may never reach the level. With "
    "several seeds such a run counts as its last epoch: the speed-up is then nearer to 0 than it "
    "may be."
)
