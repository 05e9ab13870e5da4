"""Speed-up to a reward level: Tables 1 and 10 of the paper.

A run reaches a level in the first epoch whose trailing mean of the training reward is at least the
level. The trailing mean uses no later epoch; the centred mean of a plot would cross two epochs
earlier for the same window of five.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

WINDOW = 5  # epochs, Appendix B.3.4

# Where a scale has no published levels: shares of the way from the start to the common top.
LEVEL_FRACTIONS = (0.95, 0.80, 0.65, 0.50)


def trailing_mean(rewards: ArrayLike, window: int = WINDOW) -> np.ndarray:
    """Mean of each epoch and the `window` - 1 before it; the first epochs average what there is.

    `rewards` is (epochs,), in order from epoch 1. Raises ValueError on NaN or a wrong shape.
    """
    values = _checked(rewards, window)
    # fsum: a constant curve at 6.9 must average to 6.9, not to 6.8999999.
    means = [
        math.fsum(values[max(0, i - window + 1) : i + 1]) / min(window, i + 1)
        for i in range(len(values))
    ]
    return np.array(means, dtype=np.float64)


def first_crossing(rewards: ArrayLike, level: float, window: int = WINDOW) -> int | None:
    """First 1-based epoch whose trailing mean is at least `level`; None if no epoch's is."""
    reached = np.flatnonzero(trailing_mean(rewards, window) >= level)
    return int(reached[0]) + 1 if len(reached) else None


def speedup_percent(baseline_epochs: float, pcpo_epochs: float) -> float:
    """100 * (E_baseline / E_pcpo - 1), as in Tables 1 and 10; ValueError below 1 epoch."""
    if not (baseline_epochs >= 1 and pcpo_epochs >= 1):
        raise ValueError(
            f"speedup_percent: epochs {baseline_epochs} and {pcpo_epochs} must be >= 1"
        )
    return 100.0 * (baseline_epochs / pcpo_epochs - 1.0)


def common_levels(
    baseline_rewards: ArrayLike,
    pcpo_rewards: ArrayLike,
    fractions: Sequence[float] = LEVEL_FRACTIONS,
    window: int = WINDOW,
) -> tuple[float, ...]:
    """Reward levels that both runs reach, for a scale without published levels.

    `shared_levels` of the two curves.
    """
    return shared_levels([baseline_rewards, pcpo_rewards], fractions, window)


def shared_levels(
    runs: Sequence[ArrayLike],
    fractions: Sequence[float] = LEVEL_FRACTIONS,
    window: int = WINDOW,
) -> tuple[float, ...]:
    """Reward levels that every run reaches: two arms, or several, of one seed or several.

    Each level lies `fraction` of the way from the reward of the first epoch (the highest of the
    runs': arms sample with their own variance, and what one has at the start is no progress) to the
    highest trailing mean that all runs reach. Returned in the order of `fractions`; empty if one of
    the runs never rises above the start.
    """
    if not all(0.0 < f <= 1.0 for f in fractions):
        raise ValueError(f"shared_levels: fractions {tuple(fractions)} must lie in (0, 1]")
    curves = [trailing_mean(r, window) for r in runs]
    start = float(max(curve[0] for curve in curves))
    top = float(min(curve.max() for curve in curves))
    if top <= start:
        return ()
    return tuple(min(top, start + f * (top - start)) for f in fractions)


def crossings(curves: np.ndarray, level: float, window: int = WINDOW) -> np.ndarray:
    """`first_crossing` of each row of `curves` (R, epochs), as float (R,); inf where there is none.

    Vectorised for resamples; a mean that misses the level by rounding alone counts as at it.
    """
    sums = np.cumsum(curves, axis=1)
    sums[:, window:] = sums[:, window:] - sums[:, :-window]
    counts = np.minimum(np.arange(1, curves.shape[1] + 1), window)
    reached = sums / counts >= level - 1e-10 * abs(level)
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, np.inf)


def _checked(rewards: ArrayLike, window: int) -> np.ndarray:
    values = np.asarray(rewards, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"rewards have shape {values.shape}, expected one value per epoch")
    if not np.isfinite(values).all():
        raise ValueError(
            f"rewards contain NaN or infinite values, first in epoch "
            f"{int(np.flatnonzero(~np.isfinite(values))[0]) + 1}"
        )
    if window < 1:
        raise ValueError(f"window is {window}; it counts epochs and must be at least 1")
    return values
