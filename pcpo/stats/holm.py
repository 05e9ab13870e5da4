"""Holm's correction for several tests at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def holm(p_values: ArrayLike) -> np.ndarray:
    """Holm-adjusted p-values in the order given; NaN stays NaN and is not counted as a test.

    Holm, Scand. J. Statist. 6 (1979): the i-th smallest of m is multiplied by m - i + 1, and no
    adjusted value is below that of a smaller one. Raises ValueError for a value outside [0, 1].
    """
    p = np.asarray(p_values, dtype=float)
    tested = np.flatnonzero(~np.isnan(p))
    if ((p[tested] < 0) | (p[tested] > 1)).any():
        raise ValueError(f"holm: p-values {p.tolist()} must lie in [0, 1]")
    order = tested[np.argsort(p[tested], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted = p.copy()
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(factors * p[order]))
    return adjusted
