"""Epochs to a level, compared between two arms whose runs may end before they reach it.

A run that never reaches the level counts as its last epoch, in both arms alike: the time is
restricted to the window, as restricted mean survival times are (Royston & Parmar, BMC Med. Res.
Methodol. 13:152, 2013). If the arms do not differ, the two runs of a seed can be exchanged, and so
the log ratio of their restricted times is symmetric about 0, whatever is cut off: Student's t stays
a test of no difference. A cut moves the ratio of a seed towards 1 and never away from it. So the
arms are shown to differ where the test says so, but that they do not cannot be shown. The mean over
seeds is of restricted times, which is not the mean of whole ones.

All of this is of one ratio. The difference of two log ratios has no such bound: where the second is
cut and the first is not, the difference is enlarged and can have the wrong sign.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Restricted(NamedTuple):
    """`logs` (seeds,): of the first arm's time over the second's; `cut`: runs cut off, by arm."""

    logs: np.ndarray
    cut: tuple[int, int]


def restricted_log_ratios(first: ArrayLike, second: ArrayLike, ends: ArrayLike) -> Restricted:
    """Compare times (seeds,) to a level; NaN or inf: not reached by the epoch `ends` (seeds,).

    `ends` is the last epoch that both runs of a seed have. A time is restricted to at least one
    epoch, so that a level at the start gives no infinite ratio. Raises ValueError for a negative
    time or an end below 1.
    """
    end = np.asarray(ends, dtype=np.float64)
    times = [np.asarray(arm, dtype=np.float64) for arm in (first, second)]
    if (end < 1).any() or any((t < 0).any() for t in times):
        raise ValueError(f"restricted_log_ratios: times {times} or ends {end} below 0 or 1 epochs")
    reached = [np.isfinite(t) & (t <= end) for t in times]
    kept = [np.clip(np.where(r, t, end), 1.0, end) for t, r in zip(times, reached, strict=True)]
    cut = tuple(int((~r).sum()) for r in reached)
    return Restricted(np.log(kept[0] / kept[1]), (cut[0], cut[1]))
