"""Means of values that come in clusters of two kinds at once: raters and prompts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from pcpo.stats.intervals import COVERAGE


class Clustered(NamedTuple):
    """Coefficients with standard errors that hold for clusters, and degrees of freedom of t."""

    values: NDArray[np.float64]
    errors: NDArray[np.float64]
    df: int

    def ends(self, place: int = 0) -> tuple[float, float]:
        """The central interval of a coefficient."""
        half = stats.t.ppf(0.5 + COVERAGE / 2, self.df) * self.errors[place]
        return float(self.values[place] - half), float(self.values[place] + half)


def clustered_regression(y: ArrayLike, x: ArrayLike, clusters: ArrayLike) -> Clustered:
    """Least squares of `y` (N,) on `x` (N, k), errors robust to two kinds of clusters (N, 2).

    statsmodels' two-way sandwich (Cameron, Gelbach and Miller, JBES 29, 2011), with t of the
    smaller number of clusters less one. It subtracts a term and can be too small, even negative, so
    that an error is at least that of either kind of clusters alone.

    Errors are NaN below two clusters of a kind, and 0 where all residuals are 0.
    """
    # Here: the ledger of claims imports this module, and uses it only where people have answered.
    import statsmodels.api as sm

    response, design = np.asarray(y, dtype=np.float64), np.asarray(x, dtype=np.float64)
    labels = np.asarray(clusters)
    groups = [np.unique(labels[:, kind], return_inverse=True)[1] for kind in (0, 1)]
    counts = [int(group.max()) + 1 for group in groups]
    fitted = sm.OLS(response, design).fit()
    if min(counts) < 2:
        return Clustered(fitted.params, np.full(design.shape[1], np.nan), 0)
    variances = []
    for of in (groups[0], groups[1], np.column_stack(groups)):
        robust = fitted.get_robustcov_results(cov_type="cluster", groups=of)
        variances.append(np.diag(robust.cov_params()))
    return Clustered(fitted.params, np.sqrt(np.max(variances, axis=0)), min(counts) - 1)


def clustered_share(values: ArrayLike, clusters: ArrayLike) -> tuple[float, float, float, int]:
    """Mean of values in [0, 1] (N,) with its interval, as (mean, low, high, df).

    The interval is cut to [0, 1]. Where all values are 0 or all are 1 it is the exact binomial one
    of as many values as there are clusters of the rarer kind.
    """
    y = np.asarray(values, dtype=np.float64)
    found = clustered_regression(y, np.ones((len(y), 1)), clusters)
    mean = float(y.mean())
    if found.df and mean in (0, 1):
        count = found.df + 1
        exact = stats.binomtest(int(mean) * count, count).proportion_ci(COVERAGE)
        return mean, float(exact.low), float(exact.high), found.df
    low, high = found.ends() if found.df else (np.nan, np.nan)
    return mean, float(max(low, 0.0)), float(min(high, 1.0)), found.df
