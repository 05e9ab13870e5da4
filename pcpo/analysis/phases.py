"""The two phases of training that Figures 10 and 11 compare: from scratch, and near convergence.

Appendix D measures gradients in "(i) the initial 5 epochs (starting from scratch) and (ii) 5 epochs
near convergence (loaded from checkpoints at target reward levels)". Here nothing is loaded: the
second phase is the five epochs of a run after its own crossing of the level at which checkpoints
are matched, the same as training on from there. If a run ends before that or never crosses, they
are its last five epochs, and the caption says so. For Figure 10 the paper only says "from scratch
and near convergence"; here it has the same epochs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pcpo.analysis.reward_levels import pair_level
from pcpo.stats.speedup import first_crossing

EPOCHS = 5  # Appendix D, gradient stability analysis
NEAR = (  # what captions say
    f"near convergence, the {EPOCHS} epochs that follow a run's own first crossing of the reward "
    "level at which checkpoints are matched, or its last ones where it ends before that or never "
    "crosses"
)


class Phases(NamedTuple):
    """Epochs (1-based) of one run in either phase.

    `instead` is empty where `near` follows the crossing; else it says why it is the run's end.
    """

    first: range
    near: range
    instead: str


Runs = Mapping[tuple[str, int], Phases]  # (arm, training seed)


def find_phases(curves: pd.DataFrame, evaluation: Any) -> dict[tuple[str, int], Phases]:
    """Phases of the runs of one experiment, by (arm, training seed).

    curves: `arm, seed, epoch, reward_mean`, a row per epoch or per update, all epochs of each run.
    evaluation: `pcpo.config.Evaluation`. A derived level is from baseline and PCPO of the same
    seed, as for the selection of checkpoints. If a run has fewer than ten epochs, the phases of all
    runs are shorter, so that no epoch is in both phases.
    """
    epochs = curves.drop_duplicates(["arm", "seed", "epoch"]).sort_values("epoch")
    runs = {
        (str(arm), int(str(seed))): run["reward_mean"].to_numpy()
        for arm, of_arm in epochs.groupby("arm")
        for seed, run in of_arm.groupby("seed")
    }
    count = max(1, min([EPOCHS, *(len(run) // 2 for run in runs.values())]))
    found = {}
    for (arm, seed), run in runs.items():
        level = pair_level(evaluation, {a: r for (a, s), r in runs.items() if s == seed})
        found[arm, seed] = _of_run(run, level, count)
    return found


def split(rows: pd.DataFrame, runs: Runs) -> dict[str, pd.DataFrame]:
    """Rows (`arm, seed, epoch`, ...) by phase, keyed "first 5 epochs", "5 epochs near convergence".

    Rows of runs without phases are in neither.
    """
    count = max((len(phases.first) for phases in runs.values()), default=EPOCHS)
    noun = "epoch" if count == 1 else f"{count} epochs"
    keys = list(zip(rows["arm"], rows["seed"], rows["epoch"], strict=True))
    parts = {}
    for name, field in ((f"first {noun}", "first"), (f"{noun} near convergence", "near")):
        inside = [(a, s) in runs and e in getattr(runs[a, s], field) for a, s, e in keys]
        parts[name] = rows[np.array(inside, dtype=bool)]
    return parts


def instead(runs: Runs, label: Mapping[str, str]) -> str:
    """Which runs' second phase is their end, and why: a sentence without full stop, or ""."""
    exceptions = [
        f"{label.get(arm, arm)}, seed {seed} (epochs {p.near[0]} to {p.near[-1]}: {p.instead})"
        for (arm, seed), p in runs.items()
        if p.instead
    ]
    return f"the run's last epochs instead for {'; '.join(exceptions)}" if exceptions else ""


def _of_run(rewards: np.ndarray, level: float, count: int) -> Phases:
    epochs = len(rewards)
    crossing, reason = first_crossing(rewards, level), ""
    last = max(1, epochs - count + 1)  # the first of the last epochs
    if crossing is None:
        reason = "no level" if math.isnan(level) else f"never at the level {level:.4g}"
    elif crossing + 1 > last:
        reason = f"at the level {level:.4g} in epoch {crossing} only"
    start = last if reason or crossing is None else crossing + 1
    return Phases(range(1, count + 1), range(start, start + count), reason)
