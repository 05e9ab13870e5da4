"""Error of the log-ratio in place of ratio - 1 (Sec. 2.2: "never exceeded 1.2%")."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

EXTREMES = ["log_ratio_q00", "log_ratio_q100"]


def relative_error(log_ratio: ArrayLike) -> np.ndarray:
    """|log(r) / (r - 1) - 1| of log-ratios of any shape; 0 at r = 1, where both agree."""
    x = np.asarray(log_ratio, dtype=np.float64)
    away = np.where(x == 0, 1.0, x)
    return np.where(x == 0, 0.0, np.abs(away / np.expm1(away) - 1))


def largest_errors(updates: pd.DataFrame) -> pd.Series:
    """The largest relative error in each row of `frames.UPDATES`.

    It grows with the log-ratio's size, so the extremes of an update decide.
    """
    return pd.Series(relative_error(updates[EXTREMES]).max(axis=1), updates.index)
