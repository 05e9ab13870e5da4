"""Holm's correction for several tests at once (Scand. J. Statist. 6, 1979)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def holm(p_values: ArrayLike) -> np.ndarray:
    """Holm-adjusted p-values in the order given; NaN stays NaN and is not counted as a test.

    Raises ValueError for a value outside [0, 1].
    """
    p = np.asarray(p_values, dtype=float)
    tested = ~np.isnan(p)
    if ((p[tested] < 0) | (p[tested] > 1)).any():
        raise ValueError(f"holm: p-values {p.tolist()} must lie in [0, 1]")
    # Not statsmodels' multipletests: it collects garbage at each call, a tenth of a second here.
    order = np.flatnonzero(tested)[np.argsort(p[tested], kind="stable")]
    adjusted = p.copy()
    steps = (len(order) - np.arange(len(order))) * p[order]
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
