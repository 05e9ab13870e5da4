"""Speed-up to a reward level: Tables 1 and 10 of the paper.

A run reaches a level in the first epoch whose trailing mean of the training reward is at least the
level. The mean is always over a full window (five epochs, Appendix B.3.4), so that no epoch before
the fifth can cross and a run of fewer epochs never does. It uses no later epoch; the centred mean
of a plot would cross two epochs earlier.

Epochs are printed whole, as the paper prints them (`first_crossing`). Speed-ups are taken of the
place between two epochs where the mean is at the level (`interpolated_crossing`): a whole epoch is
5 % of a run of 20. The paper takes its speed-ups of whole epochs: all rows of its Tables 1 and 10
follow from their printed epochs but for two of Table 10 (`pcpo.tables.notes.TABLE_10_SLIP`).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

WINDOW = 5  # epochs, Appendix B.3.4


def trailing_mean(rewards: ArrayLike, window: int = WINDOW) -> np.ndarray:
    """Mean (epochs,) of each epoch and the `window` - 1 before it; NaN where there are fewer.

    `rewards` is (epochs,), in order from epoch 1. Raises ValueError on NaN or a wrong shape.
    """
    values = _checked(rewards, window)
    means = np.full(len(values), np.nan)
    for end in range(window, len(values) + 1):
        # fsum: a constant curve at 6.9 must average to 6.9, not to 6.8999999.
        means[end - 1] = math.fsum(values[end - window : end]) / window
    return means


def first_crossing(rewards: ArrayLike, level: float, window: int = WINDOW) -> int | None:
    """First 1-based epoch whose trailing mean is at least `level`; None if no epoch's is.

    At the earliest `window`. Raises ValueError as `trailing_mean`.
    """
    reached = np.flatnonzero(trailing_mean(rewards, window) >= level)
    return int(reached[0]) + 1 if len(reached) else None


def interpolated_crossing(rewards: ArrayLike, level: float, window: int = WINDOW) -> float | None:
    """Where the trailing mean is at `level`, as a real number of epochs; None if it never is.

    Linear between the first epoch at or above the level and the one before it, so that its ceiling
    is `first_crossing`; `window` where the first full mean is at the level already, as nothing is
    known before it. Raises ValueError as `trailing_mean`.
    """
    epoch = first_crossing(rewards, level, window)
    if epoch is None or epoch == window:
        return epoch if epoch is None else float(epoch)
    below, above = trailing_mean(rewards, window)[epoch - 2 : epoch]
    return epoch - 1 + float((level - below) / (above - below))


def speedup_percent(baseline_epochs: float, pcpo_epochs: float) -> float:
    """100 * (E_baseline / E_pcpo - 1), as in Tables 1 and 10; ValueError below 1 epoch."""
    if not (baseline_epochs >= 1 and pcpo_epochs >= 1):
        raise ValueError(
            f"speedup_percent: epochs {baseline_epochs} and {pcpo_epochs} must be >= 1"
        )
    return 100.0 * (baseline_epochs / pcpo_epochs - 1.0)


def crossings(curves: np.ndarray, level: float, window: int = WINDOW) -> np.ndarray:
    """`interpolated_crossing` of each row of `curves` (R, epochs), (R,); inf where there is none.

    Vectorised for resamples; a mean that misses the level by rounding alone counts as at it.
    """
    rows, epochs = curves.shape
    if epochs < window:
        return np.full(rows, np.inf)
    means = np.lib.stride_tricks.sliding_window_view(curves, window, axis=1).mean(axis=2)
    reached = means >= level - 1e-10 * abs(level)
    first = reached.argmax(axis=1)
    before, at = (means[np.arange(rows), i] for i in (np.maximum(first - 1, 0), first))
    rise = np.where(first > 0, at - before, 1.0)
    part = np.where(first > 0, np.clip((level - before) / rise, 0.0, 1.0), 1.0)
    return np.where(reached.any(axis=1), window - 1 + first + part, np.inf)


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
