"""The levels of the training reward at which arms are compared, defined only here.

Published levels are in a configuration's `evaluation.reward_levels`. Without them, levels are
derived from the compared runs, as shares of the rise that all of them reach. Selection, tables,
figures and claims all use this module. `evaluation` is `pcpo.config.Evaluation`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pcpo.compared import COMPARED
from pcpo.stats.speedup import WINDOW, trailing_mean

LEVEL_FRACTIONS = (0.95, 0.80, 0.65, 0.50)  # if a configuration has no `level_fractions`


def reward_levels(evaluation: Any, runs: Sequence[ArrayLike]) -> tuple[float, ...]:
    """The levels of a configuration, highest first; `runs` are training rewards, each (epochs,).

    Published levels need no runs. Every given run reaches a derived level: runs of two or more
    arms, of one or more training seeds. Empty if there is no level (`why_none`).
    """
    if evaluation.reward_levels:
        return tuple(sorted(evaluation.reward_levels, reverse=True))
    return shared_levels(runs, level_fractions(evaluation))


def matched_level(evaluation: Any, runs: Sequence[ArrayLike]) -> float:
    """The level at which checkpoints are matched: the highest, unless the configuration names one.

    NaN if there is none.
    """
    if evaluation.matched_level is not None:
        return float(evaluation.matched_level)
    return max(reward_levels(evaluation, runs), default=math.nan)


def pair_level(evaluation: Any, runs: Mapping[str, ArrayLike]) -> float:
    """`matched_level` of the runs (arm -> rewards) of one seed; NaN if derived and one is absent.

    Other arms do not change it: they are matched to the baseline's checkpoint at that level.
    """
    pair = [runs[arm] for arm in COMPARED if arm in runs]
    return matched_level(evaluation, pair if len(pair) == len(COMPARED) else [])


def level_fractions(evaluation: Any) -> tuple[float, ...]:
    """The shares for derived levels, highest first."""
    return tuple(sorted(evaluation.level_fractions or LEVEL_FRACTIONS, reverse=True))


def shared_levels(
    runs: Sequence[ArrayLike], fractions: Sequence[float] = LEVEL_FRACTIONS, window: int = WINDOW
) -> tuple[float, ...]:
    """Reward levels that every run reaches, in the order of `fractions`.

    Each lies `fraction` of the way from the start to the highest trailing mean that all runs reach.
    The start is the highest of the runs' first full trailing means: arms sample with their own
    variance, and a difference at the start is no progress. So no run begins at a level. Empty if a
    run is shorter than `window` or never rises above the start.
    """
    if not all(0.0 < f <= 1.0 for f in fractions):
        raise ValueError(f"shared_levels: fractions {tuple(fractions)} must lie in (0, 1]")
    if why_none(runs, window):
        return ()
    curves = [trailing_mean(run, window)[window - 1 :] for run in runs]
    start = max(float(curve[0]) for curve in curves)
    top = min(float(curve.max()) for curve in curves)
    return tuple(min(top, start + f * (top - start)) for f in fractions)


def why_none(runs: Sequence[ArrayLike], window: int = WINDOW) -> str:
    """Why no level can be derived from the runs, in words; "" if one can."""
    if not runs:
        return "no runs to derive a level from"
    shortest = min(len(np.asarray(run)) for run in runs)
    if shortest < window:
        return too_short(shortest, window)
    curves = [trailing_mean(run, window)[window - 1 :] for run in runs]
    if min(curve.max() for curve in curves) <= max(curve[0] for curve in curves):
        return "no level is reached by all arms: one never rises above the start"
    return ""


def too_short(epochs: int, window: int = WINDOW) -> str:
    return f"a run of {epochs} epochs is shorter than the trailing mean of {window}"
