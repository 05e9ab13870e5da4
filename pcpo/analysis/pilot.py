"""Paired differences of a pilot's runs, for the number of seeds that a study needs.

Each function gives, by outcome of `pcpo.cli.power`, one array (seeds,) per experiment.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pcpo.analysis.outcomes import (
    areas,
    of_shared_seeds,
    shared_ends,
    shared_level,
    times_to,
    validation_curve,
)
from pcpo.compared import COMPARED
from pcpo.stats.restricted import restricted_log_ratios
from pcpo.tables.paired import by_seed


def of_validation(validation: pd.DataFrame, arm: str) -> dict[str, list[np.ndarray]]:
    """`area` in the reward's unit, `speedup` in log ratios, of an arm against the baseline."""
    gains, logs = [], []
    for _, rows in validation.groupby("experiment"):
        curves = {
            str(a): {int(str(s)): validation_curve(run) for s, run in of_arm.groupby("seed")}
            for a, of_arm in rows.groupby("arm")
        }
        if not {arm, *COMPARED} <= set(curves):
            continue
        pair = of_shared_seeds(curves["baseline"], curves[arm])
        if not pair[0]:
            continue
        first, second = areas(pair)
        gains.append(second - first)
        level = shared_level(curves)
        if not np.isnan(level):
            times = times_to(pair, level)
            logs.append(restricted_log_ratios(times[0], times[1], shared_ends(pair)).logs)
    return {"area": gains, "speedup": logs}


def of_quality(per_prompt: pd.DataFrame, arm: str) -> dict[str, list[np.ndarray]]:
    """`quality`: difference of the mean FID of a prompt, in percent of the baseline's."""
    found = []
    for _, rows in per_prompt[per_prompt["metric"] == "fid"].groupby("experiment"):
        if not {arm, "baseline"} <= set(rows["arm"]):
            continue
        base = rows.loc[rows["arm"] == "baseline", "value"].mean()
        found.append(
            np.array([100 * d.mean / base for d in by_seed(rows, arm, "baseline").values()])
        )
    return {"quality": found}


def pooled_sd(differences: Sequence[np.ndarray]) -> float | None:
    """Standard deviation within experiments, pooled; None where none has two seeds."""
    several = [d for d in differences if len(d) > 1]
    if not several:
        return None
    squares = sum(float(((d - d.mean()) ** 2).sum()) for d in several)
    return float(np.sqrt(squares / sum(len(d) - 1 for d in several)))
