"""Intervals of a mean: over independent values, and over consecutive epochs of one run."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

COVERAGE = 0.95
BLOCKS = 10


class Interval(NamedTuple):
    """A mean, its central interval (NaN below two values) and the number of values behind it."""

    mean: float
    low: float
    high: float
    n: int


def t_interval(values: ArrayLike, coverage: float = COVERAGE) -> Interval:
    """Mean of independent `values` (n,) and Student's interval with n - 1 degrees of freedom.

    Raises ValueError without values or with NaN among them.
    """
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or not len(x) or not np.isfinite(x).all():
        raise ValueError(f"t_interval: needs finite values (n,), got shape {x.shape}")
    mean = float(x.mean())
    if len(x) < 2:
        return Interval(mean, np.nan, np.nan, 1)
    half = float(stats.t.ppf(0.5 + coverage / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
    return Interval(mean, mean - half, mean + half, len(x))


def block_means(series: ArrayLike, blocks: int = BLOCKS) -> np.ndarray:
    """Means of at most `blocks` consecutive stretches of `series` (epochs,).

    Neighbouring epochs are alike, so they are no independent values; the means of long stretches
    nearly are (the method of batch means). Every epoch is in one of them: where the number does not
    divide, their lengths differ by one.
    """
    x = np.asarray(series, dtype=np.float64)
    return np.array([part.mean() for part in np.array_split(x, min(blocks, len(x)))])
