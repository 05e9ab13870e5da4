"""A test of an estimate against a region of values: the one test behind every verdict.

A claim says that a quantity lies in a region. "Higher" is the values above none, "lower" those
below, "no effect" those within a margin about none (equivalence, by two one-sided tests:
Schuirmann, J. Pharmacokinet. Biopharm. 15, 1987), and a band is itself. An estimate inside the
region may show the claim, one outside may show that it is wrong, and both are tests against the
region's nearest edge. At a true value on an edge either is shown in 5 % of studies at most.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

ALPHA = 0.05  # of both sides together: an interval of 95 % that touches no edge has p below it


def region_test(
    mean: ArrayLike, error: ArrayLike, df: ArrayLike, low: ArrayLike, high: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """(inside, p): whether `mean` lies in (low, high), and the two-sided p of its nearest edge.

    Student's t with `df` degrees of freedom, normal where `df` is NaN. Shapes broadcast; an edge
    may be infinite. p is 1 on an edge, 0 away from it where `error` is 0.
    """
    mean = np.asarray(mean, dtype=np.float64)
    distance = np.minimum(mean - low, high - mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(distance == 0, 0.0, np.abs(distance) / error)
    freedom = np.where(np.isnan(df), np.inf, df)
    return distance > 0, 2.0 * stats.t.sf(t, freedom)


def share_test(differences: ArrayLike, references: ArrayLike, share: float) -> tuple[bool, float]:
    """(inside, p): whether the mean difference lies within a share of the mean reference.

    differences, references: fp64 (n,), of the same n > 1 runs. Both vary, so that the margin is not
    known: the two edges are the means of share * reference + difference and of share * reference -
    difference, each tested by its own Student's t (Hauschke et al., Statistics in Medicine 18,
    1999). p is two-sided: of the edge that is shown least, inside; of the one that is crossed,
    outside. A negative mean reference counts by its size.
    """
    d, r = np.asarray(differences, dtype=np.float64), np.asarray(references, dtype=np.float64)
    width = share * r * (1 if r.mean() >= 0 else -1)
    means, ps = [], []
    for edge in (width + d, width - d):
        mean, error = edge.mean(), edge.std(ddof=1) / np.sqrt(len(edge))
        means.append(mean)
        ps.append(float(region_test(mean, error, len(edge) - 1, 0.0, np.inf)[1]))
    inside = min(means) > 0
    return inside, max(ps) if inside else ps[int(np.argmin(means))]
