"""Ratio of the means of paired values, with Fieller's interval."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from pcpo.stats.intervals import COVERAGE, Interval


def ratio_of_means(above: ArrayLike, below: ArrayLike, coverage: float = COVERAGE) -> Interval:
    """mean(above) / mean(below) of paired values (n,), and the ratios r for which the mean of
    above - r below does not differ from 0 by Student's t test with n - 1 degrees of freedom
    (Fieller, J. R. Stat. Soc. B 16, 1954).

    The bounds are NaN where these ratios are no finite interval: below two pairs, and where
    mean(below) itself does not differ from 0. Raises ValueError for shapes that differ and for
    values that are no finite numbers.
    """
    x, y = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or not len(x) or not np.isfinite([x, y]).all():
        raise ValueError(
            f"ratio_of_means: needs finite values (n,) twice, got shapes {x.shape} and {y.shape}"
        )
    n, mean_x, mean_y = len(x), float(x.mean()), float(y.mean())
    ratio = mean_x / mean_y if mean_y else np.nan
    if n < 2:
        return Interval(ratio, np.nan, np.nan, n)
    # (mean_x - r mean_y)^2 = t^2 (var_x - 2 r cov + r^2 var_y) / n, quadratic in r.
    t2 = float(stats.t.ppf(0.5 + coverage / 2, n - 1)) ** 2
    (var_x, cov), (_, var_y) = np.cov(x, y) / n
    a, b, c = mean_y**2 - t2 * var_y, mean_x * mean_y - t2 * cov, mean_x**2 - t2 * var_x
    if a <= 0:
        return Interval(ratio, np.nan, np.nan, n)
    root = float(np.sqrt(max(0.0, b**2 - a * c)))
    return Interval(ratio, float((b - root) / a), float((b + root) / a), n)
