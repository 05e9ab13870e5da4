"""What a procedure returns, and the register of procedures.

Intervals are 95 %. With several training seeds they are Student's t over the pairs of runs of one
seed and cover the variation between runs. With one seed they cover the variation within the run (of
epochs or prompts, as each procedure says), `why` says that there is one seed, and no verdict is
taken of them (`pcpo.claims.verdict`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from pcpo.claims.evidence import NotRun
from pcpo.stats.intervals import COVERAGE, Interval, block_means, t_interval

Arms = tuple[str, str]  # the first against the second
PAIR: Arms = ("pcpo", "baseline")
ONE_RUN = "one run per arm"
Z = 1.959964


# The scale on which an estimate is Student's t: of the value itself, of the logarithm of a ratio,
# or of the logarithm of the ratio 1 + value / 100 (a speed-up in percent).
Scale = Literal["plain", "ratio", "percent"]


@dataclass(frozen=True)
class Estimate:
    """The result of a procedure. `null` is the value of no effect.

    `runs` is the number of pairs of training runs behind the interval; with 1 the interval is
    within a run. `df` are the degrees of freedom of the interval, NaN for a normal one.
    `exact` is set by procedures that check every row instead of estimating: whether the statement
    is true. `blocked` says why the numbers decide nothing, for instance an unmatched reward.
    `reference` is the value that a relative margin is a share of: the second arm's, or in a mixed
    model that of the level without the effect. `pairs` are the difference and the reference of each
    run, for a margin that is tested run by run. `censored`: a run ended before it reached the level
    (`pcpo.stats.restricted`).
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    n: str = ""
    why: str = ""
    null: float = 0.0
    exact: bool | None = None
    blocked: str = ""
    runs: int = 1
    df: float = math.nan
    scale: Scale = "plain"
    reference: float = math.nan
    censored: bool = False
    pairs: tuple[tuple[float, float], ...] = ()

    @property
    def side(self) -> int:
        """1 or -1 where the interval lies above or below `null`; 0 where it does not, or is NaN."""
        return int(self.low > self.null) - int(self.high < self.null)

    @property
    def error(self) -> float:
        """The standard error on the scale of the test, from the interval."""
        return (self.tested(self.high) - self.tested(self.low)) / (2 * half_width(1.0, self.df))

    def tested(self, value: float) -> float:
        """A value of this quantity on the scale of the test; -inf below all ratios."""
        if self.scale == "plain":
            return value
        ratio = value if self.scale == "ratio" else 1 + value / 100
        return math.log(ratio) if ratio > 0 else -math.inf


class Procedure(NamedTuple):
    function: Callable[..., Estimate]
    exact: bool
    joint: bool  # takes several configurations together
    paired: bool  # gives `Estimate.pairs`


PROCEDURES: dict[str, Procedure] = {}


def procedure(
    *, exact: bool = False, joint: bool = False, paired: bool = False
) -> Callable[[Callable[..., Estimate]], Callable[..., Estimate]]:
    def register(function: Callable[..., Estimate]) -> Callable[..., Estimate]:
        PROCEDURES[function.__name__] = Procedure(function, exact, joint, paired)
        return function

    return register


def runs_per_arm(runs: int) -> str:
    return f"{runs} run{'s' if runs > 1 else ''} per arm"


def of_interval(interval: Interval, why: str = "") -> Estimate:
    """Of independent pairs of runs: `pcpo.stats.intervals.t_interval` over their values."""
    n = interval.n
    why = "; ".join(filter(None, [why, ONE_RUN * (n == 1)]))
    return Estimate(
        interval.mean, interval.low, interval.high, runs_per_arm(n), why, runs=n, df=n - 1
    )


def of_runs(values: ArrayLike, why: str = "") -> Estimate:
    """Of one value per pair of runs (n,). Raises NotRun where one of them is no number."""
    x = np.asarray(values, dtype=np.float64)
    _need_numbers(x, "runs")
    return of_interval(t_interval(x), why)


def against(found: Estimate, differences: ArrayLike, references: ArrayLike) -> Estimate:
    """The estimate with the reference of each run (n,), whose mean is `reference`."""
    both = np.asarray(differences, np.float64).tolist(), np.asarray(references, np.float64).tolist()
    pairs = tuple(zip(*both, strict=True))
    return replace(found, reference=float(np.mean(both[1])), pairs=pairs)


def _need_numbers(values: np.ndarray, what: str) -> None:
    if not_finite := int((~np.isfinite(values)).sum()):
        raise NotRun(f"{not_finite} of {len(values)} {what} have a value that is no finite number")


def of_logs(found: Estimate, scale: Scale) -> Estimate:
    """An estimate of log ratios as the ratio, or as the percent by which it exceeds 1."""
    ratios = np.exp([found.value, found.low, found.high])
    value, low, high = map(float, ratios if scale == "ratio" else 100 * (ratios - 1))
    null = 1.0 if scale == "ratio" else 0.0
    return replace(found, value=value, low=low, high=high, null=null, scale=scale)


def half_width(standard_error: float, df: float) -> float:
    """Half width of an interval by Student's t; by the normal distribution where `df` is NaN."""
    return (Z if math.isnan(df) else float(stats.t.ppf(0.5 + COVERAGE / 2, df))) * standard_error


def over_epochs(series: Sequence[np.ndarray]) -> Estimate:
    """One series (epochs,) per training seed: t over seeds, or over stretches of the only one.

    Raises NotRun where a value is no number.
    """
    if len(series) > 1:
        return of_runs([s.mean() for s in series])
    _need_numbers(series[0], "epochs")
    mean, found = float(series[0].mean()), t_interval(block_means(series[0]))
    half = (found.high - found.low) / 2  # about the mean of all epochs: stretches differ in length
    n = f"{len(series[0])} epochs"
    return Estimate(mean, mean - half, mean + half, n, ONE_RUN, df=found.n - 1)
