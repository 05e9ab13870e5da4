"""The levels of the training reward at which arms are compared: the only place that knows them.

Published levels stand in a configuration's `evaluation.reward_levels`. Where there are none they
are derived from the runs that are compared, as shares of the way that all of them make. Selection,
tables, figures and claims all ask here. `evaluation` is `pcpo.config.Evaluation`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pcpo.stats.speedup import WINDOW, trailing_mean

LEVEL_ARMS = ("baseline", "pcpo")  # the arms whose runs levels are derived from
LEVEL_FRACTIONS = (0.95, 0.80, 0.65, 0.50)  # where a configuration has no `level_fractions`


def reward_levels(evaluation: Any, runs: Sequence[ArrayLike]) -> tuple[float, ...]:
    """The levels of a configuration, highest first; `runs` are training rewards, each (epochs,).

    Published levels need no runs. Derived ones are reached by every run given: two arms, or
    several, of one training seed or of several. Empty where there is none (`why_none`).
    """
    if evaluation.reward_levels:
        return tuple(sorted(evaluation.reward_levels, reverse=True))
    return shared_levels(runs, level_fractions(evaluation))


def matched_level(evaluation: Any, runs: Sequence[ArrayLike]) -> float:
    """The level at which checkpoints are matched: the highest, unless the configuration names one.

    NaN where there is none.
    """
    if evaluation.matched_level is not None:
        return float(evaluation.matched_level)
    return max(reward_levels(evaluation, runs), default=math.nan)


def pair_level(evaluation: Any, runs: Mapping[str, ArrayLike]) -> float:
    """`matched_level` of the runs (arm -> rewards) of one seed; NaN if derived and one is absent.

    Other arms have no part in it: they are matched to the baseline's checkpoint at that level.
    """
    pair = [runs[arm] for arm in LEVEL_ARMS if arm in runs]
    return matched_level(evaluation, pair if len(pair) == len(LEVEL_ARMS) else [])


def level_fractions(evaluation: Any) -> tuple[float, ...]:
    """The shares that derived levels lie at, highest first."""
    return tuple(sorted(evaluation.level_fractions or LEVEL_FRACTIONS, reverse=True))


def shared_levels(
    runs: Sequence[ArrayLike], fractions: Sequence[float] = LEVEL_FRACTIONS, window: int = WINDOW
) -> tuple[float, ...]:
    """Reward levels that every run reaches, in the order of `fractions`.

    Each lies `fraction` of the way from the start to the highest trailing mean that all runs reach.
    The start is the first full trailing mean, the highest of the runs': arms sample with their own
    variance, and what one has at the start is no progress. So no run begins at a level. Empty if a
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
    """Why no level can be derived from the runs, in words; "" where one can."""
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
