"""What a procedure returns, and the register of procedures.

Intervals are 95 %. With several training seeds they are Student's t over seeds and cover the
variation between runs. With one seed they cover the variation within the run (of epochs or prompts,
as each procedure says), and `why` says that there is one seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

from pcpo.stats.intervals import COVERAGE, Interval, block_means, t_interval

Arms = tuple[str, str]  # the first against the second
PAIR: Arms = ("pcpo", "baseline")
ONE_RUN = "one run per arm"
Z = 1.959964


@dataclass(frozen=True)
class Estimate:
    """The result of a procedure. `null` is the value of no effect.

    `exact` is set by procedures that check every row instead of estimating: whether the statement
    is true. `blocked` says why the numbers decide nothing, for instance an unmatched reward.
    `decides` is the sign of an effect that still decides, 0 for neither.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    n: str = ""
    why: str = ""
    null: float = 0.0
    exact: bool | None = None
    blocked: str = ""
    decides: int = 0

    @property
    def side(self) -> int:
        """1 or -1 where the interval lies above or below `null`; 0 where it does not, or is NaN."""
        return int(self.low > self.null) - int(self.high < self.null)


class Procedure(NamedTuple):
    function: Callable[..., Estimate]
    exact: bool
    joint: bool  # takes several configurations together


PROCEDURES: dict[str, Procedure] = {}


def procedure(
    *, exact: bool = False, joint: bool = False
) -> Callable[[Callable[..., Estimate]], Callable[..., Estimate]]:
    def register(function: Callable[..., Estimate]) -> Callable[..., Estimate]:
        PROCEDURES[function.__name__] = Procedure(function, exact, joint)
        return function

    return register


def runs_per_arm(runs: int) -> str:
    return f"{runs} run{'s' if runs > 1 else ''} per arm"


def of_interval(interval: Interval, n: str, why: str) -> Estimate:
    return Estimate(interval.mean, interval.low, interval.high, n, why)


def half_width(standard_error: float, df: float) -> float:
    """Half width of an interval by Student's t; by the normal distribution where `df` is NaN."""
    return (Z if math.isnan(df) else float(stats.t.ppf(0.5 + COVERAGE / 2, df))) * standard_error


def over_epochs(series: Sequence[np.ndarray]) -> Estimate:
    """One series (epochs,) per training seed: t over seeds, or over stretches of the only one."""
    if len(series) > 1:
        return of_interval(t_interval([s.mean() for s in series]), runs_per_arm(len(series)), "")
    mean, found = float(series[0].mean()), t_interval(block_means(series[0]))
    half = (found.high - found.low) / 2  # about the mean of all epochs: stretches differ in length
    n = f"{len(series[0])} epochs"
    return Estimate(mean, mean - half, mean + half, n, ONE_RUN)
