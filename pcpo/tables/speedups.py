"""Tables 1 and 10: epochs to a reward level, and the speed-up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pcpo.curves import epoch_curves, seed_average
from pcpo.stats.speedup import (
    LEVEL_FRACTIONS,
    common_levels,
    first_crossing,
    speedup_interval,
    speedup_percent,
)
from pcpo.tables import labels, notes
from pcpo.tables.table import Column, Table


def table1(experiments: Sequence[Any], *, updates: pd.DataFrame) -> Table:
    """Speed-up to the highest level, configurations 2, 4, 5 and 6."""
    frame, footnotes = _speedups(experiments, updates, (2, 4, 5, 6))
    frame = frame[frame["level_rank"] == 1].reset_index(drop=True)
    frame["row"] = [f"config{number}" for number in frame["config"]]
    frame = frame.rename(columns={"reward_level": "target_level"})
    columns = (
        Column("baseline", "Baseline", group=True),
        Column("reward", "Reward", group=True),
        Column("target_level", "Target level", "{:.4g}"),
        *_EPOCHS,
    )
    return Table("table1", "Epochs to a target reward level.", frame, columns, tuple(footnotes))


def table10(experiments: Sequence[Any], *, updates: pd.DataFrame) -> Table:
    """Speed-up to every level, configurations 1 to 6."""
    frame, footnotes = _speedups(experiments, updates, (1, 2, 3, 4, 5, 6))
    frame["row"] = [
        f"config{number} level{rank}"
        for number, rank in zip(frame["config"], frame["level_rank"], strict=True)
    ]
    columns = (
        Column("framework", "Framework", group=True),
        Column("setting", "Setting", group=True),
        Column("reward_level", "Reward", "{:.4g}"),
        *_EPOCHS,
    )
    footnotes.append(notes.TABLE_10_SLIP)
    title = "Speed-up at different reward levels."
    return Table("table10", title, frame, columns, tuple(footnotes))


def _interval_text(low: float, row: pd.Series) -> str:
    return f"{low:.1f} to {row['speedup_high']:.1f}"


_EPOCHS = (
    Column("baseline_epochs", "Baseline epochs", "{:.0f}"),
    Column("pcpo_epochs", "PCPO epochs", "{:.0f}"),
    Column("speedup_pct", "Speed-up", "{:.1f} %"),
    Column("speedup_low", "95 % interval", _interval_text),
)


def _speedups(
    experiments: Sequence[Any], updates: pd.DataFrame, numbers: Sequence[int]
) -> tuple[pd.DataFrame, list[str]]:
    numbered = labels.by_number(experiments)
    curves = seed_average(epoch_curves(updates))
    rows, missing, derived = [], [], {}
    for number in numbers:
        experiment = numbered.get(number)
        arms = {}
        if experiment is not None:
            of_experiment = curves[curves["experiment"] == experiment.name]
            arms = {arm: c for arm, c in of_experiment.groupby("arm") if arm in _ARMS}
        if len(arms) < len(_ARMS):
            missing.append(number)
        levels = sorted(getattr(experiment, "reward_levels", None) or (), reverse=True)
        fractions = _fractions(experiment)
        if not levels and len(arms) == len(_ARMS):
            derived[number] = ", ".join(f"{100 * f:g}" for f in fractions)
            baseline, pcpo = (arms[arm]["reward_mean"] for arm in _ARMS)
            levels = list(common_levels(baseline, pcpo, fractions))
        levels = levels or [np.nan] * len(fractions)
        for rank, level in enumerate(levels, 1):
            rows.append(
                {
                    "config": number,
                    "level_rank": rank,
                    "baseline": labels.algorithm_label(number, experiment)
                    + (f" ({labels.model_label(number, experiment)})" if number in (5, 6) else ""),
                    "framework": labels.framework(number, experiment),
                    "reward": "HPS" if number in (5, 6) else labels.REWARDS[number],
                    "setting": labels.setting(number, experiment),
                    "reward_level": level,
                }
                | _crossings(arms, level)
            )
    footnotes = notes.missing_note(missing)
    for shares in dict.fromkeys(derived.values()):
        numbers_here = ", ".join(str(n) for n, s in derived.items() if s == shares)
        footnotes.append(
            f"Levels of configuration {numbers_here}: {shares} % of the way from "
            "the first epoch's reward to the highest trailing mean that both arms reach; the "
            "paper's levels belong to its own reward scale."
        )
    used = updates[updates["experiment"].isin([e.name for e in numbered.values()])]
    footnotes += [
        notes.CROSSING,
        notes.INTERVAL,
        *notes.seed_note(used),
    ]
    return pd.DataFrame(rows), footnotes


_ARMS = ("baseline", "pcpo")


def _fractions(experiment: Any | None) -> tuple[float, ...]:
    """The experiment's own `evaluation.level_fractions`, highest first, or the default ones."""
    evaluation = getattr(experiment, "evaluation", None)
    fractions = getattr(evaluation, "level_fractions", None) or LEVEL_FRACTIONS
    return tuple(sorted(fractions, reverse=True))


def _crossings(arms: dict[str, pd.DataFrame], level: float) -> dict[str, float]:
    result = dict.fromkeys(
        ("baseline_epochs", "pcpo_epochs", "speedup_pct", "speedup_low", "speedup_high"), np.nan
    )
    result |= {"both_reached": np.nan, "baseline_run": np.nan, "pcpo_run": np.nan}
    if len(arms) < len(_ARMS) or np.isnan(level):
        return result
    for arm in _ARMS:
        crossing = first_crossing(arms[arm]["reward_mean"], level)
        result[f"{arm}_epochs"] = np.nan if crossing is None else crossing
        result[f"{arm}_run"] = len(arms[arm])  # epochs trained
    if not np.isnan(result["baseline_epochs"]) and not np.isnan(result["pcpo_epochs"]):
        result["speedup_pct"] = speedup_percent(result["baseline_epochs"], result["pcpo_epochs"])
    baseline, pcpo = (arms[arm] for arm in _ARMS)
    interval = speedup_interval(
        baseline["reward_mean"],
        baseline["reward_se"],
        pcpo["reward_mean"],
        pcpo["reward_se"],
        level,
    )
    result |= {"speedup_low": interval.low, "speedup_high": interval.high}
    return result | {"both_reached": interval.both_reached}
