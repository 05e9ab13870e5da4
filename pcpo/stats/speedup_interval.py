"""Speed-up of one arm over another, with its uncertainty.

Several pairs of runs (both arms trained with the same seed): the geometric mean of their ratios of
epochs, and Student's t interval of the log ratios over pairs. It covers the variation between
training runs. Ratios are averaged as logarithms: half and twice the epochs average to no speed-up.

One pair: a moving-block bootstrap. Each reward curve is smoothed, blocks of consecutive residuals
are drawn with replacement and laid on the smooth curve, and the crossings of these curves give the
percentile interval. Both arms get the same blocks of epochs: the runs of a seed draw the same
prompts in an epoch, and what both share does not change their ratio. It covers the noise of the
epochs' mean rewards (images and prompts drawn again, and what lasts up to a block's length), not
another training run. The smooth curve carries some of that noise itself, so that the interval is
rather too wide than too narrow.

Epochs are whole, as the paper prints them; speed-ups and intervals are of crossings interpolated
between epochs (`pcpo.stats.speedup`).

A run that ends below the level has not crossed up to its last epoch. One pair: its speed-up is
known as a bound alone, and the interval takes the bound's far end. Several pairs: the run counts as
its last epoch (`pcpo.stats.restricted`). Of a run that is shorter than the window nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.signal import savgol_filter

from pcpo.stats.intervals import COVERAGE, t_interval
from pcpo.stats.restricted import restricted_log_ratios
from pcpo.stats.speedup import (
    WINDOW,
    crossings,
    first_crossing,
    interpolated_crossing,
    speedup_percent,
)

# Epochs of the quadratic smoother. Much wider than the trailing mean: residuals around a mean over
# five epochs no longer contain the noise that moves a crossing.
SPAN = 15
BLOCK = 5  # epochs
FEWEST = 10  # epochs of a run that can be resampled
RESAMPLES = 2000

ONE_RUN = "block bootstrap of one run per arm"


@dataclass(frozen=True)
class Speedup:
    """Speed-up in percent with its interval; NaN where it cannot be estimated.

    Of one pair `percent` is NaN where a run ends below the level; `at_least` or `at_most` then has
    the bound. `low` and `high` may be -100 (PCPO may never arrive) and inf (the baseline may not).
    Epochs (of first crossing, whole for one run) and crossings (interpolated, of which the speed-up
    is taken) are geometric means over the runs, NaN where one never arrives.
    """

    percent: float
    low: float
    high: float
    baseline_epochs: float
    pcpo_epochs: float
    baseline_crossing: float
    pcpo_crossing: float
    runs: int  # pairs
    baseline_reached: int  # of them
    pcpo_reached: int
    method: str  # of the interval, in words
    at_least: float = np.nan
    at_most: float = np.nan


def compare_runs(
    baseline: Mapping[int, ArrayLike],
    pcpo: Mapping[int, ArrayLike],
    level: float,
    window: int = WINDOW,
) -> Speedup:
    """Speed-up of `pcpo` over `baseline`, each a mapping of training seed -> rewards (epochs,).

    Seeds that only one arm has are left out. Raises ValueError where no seed has both.
    """
    seeds = sorted(set(baseline) & set(pcpo))
    if not seeds:
        raise ValueError(
            f"no training seed has both arms: {sorted(baseline)} and {sorted(pcpo)}; "
            "a speed-up is taken between runs of the same seed"
        )
    arms = (baseline, pcpo)
    epochs = _of_each(first_crossing, arms, seeds, level, window)
    crossed = _of_each(interpolated_crossing, arms, seeds, level, window)
    logs = np.log(crossed)
    mean = _geometric(crossed)
    percent = 100.0 * (mean[0] / mean[1] - 1.0)
    low = high = at_least = at_most = np.nan
    if len(seeds) == 1:
        low, high, method = _one_pair(baseline[seeds[0]], pcpo[seeds[0]], level, window)
        if np.isfinite(percent):
            low, high = min(low, percent), max(high, percent)
        first, second = crossed[:, 0]
        ends = [len(np.asarray(arm[seeds[0]])) for arm in arms]
        if np.isnan(first) and np.isfinite(second) and ends[0] >= window:
            at_least = speedup_percent(ends[0], second)
        elif np.isnan(second) and np.isfinite(first) and ends[1] >= window:
            at_most = speedup_percent(first, ends[1])
    else:
        ends = [min(len(np.asarray(arm[seed])) for arm in arms) for seed in seeds]
        if min(ends) < window:
            method = f"none: a run is shorter than the trailing mean of {window} epochs"
        elif np.isnan(crossed).all():
            method = "none: no run reaches the level"
        else:
            method = f"t interval over {len(seeds)} training seeds"
            ratios, cut = restricted_log_ratios(crossed[0], crossed[1], ends)
            interval = t_interval(ratios)
            percent, low, high = (100.0 * float(np.expm1(x)) for x in interval[:3])
            if any(cut):
                runs = "1 run" if sum(cut) == 1 else f"{sum(cut)} runs"
                method += f"; of {runs} below the level at the end the last epoch counts"
    whole = _geometric(epochs)
    return Speedup(
        percent=float(percent),
        low=float(low),
        high=float(high),
        baseline_epochs=float(whole[0]),
        pcpo_epochs=float(whole[1]),
        baseline_crossing=float(mean[0]),
        pcpo_crossing=float(mean[1]),
        runs=len(seeds),
        baseline_reached=int(np.isfinite(logs[0]).sum()),
        pcpo_reached=int(np.isfinite(logs[1]).sum()),
        method=method,
        at_least=at_least,
        at_most=at_most,
    )


def resampled_crossings(
    runs: Sequence[ArrayLike],
    level: float,
    rng: np.random.Generator,
    window: int = WINDOW,
    resamples: int = RESAMPLES,
) -> np.ndarray:
    """Interpolated crossings (runs, resamples) of moving-block resamples of curves; inf for none.

    In a resample all runs get the same blocks of epochs (at the same share of their length where
    they differ in it). Residuals are scaled up for what the smoother took of them: so that for
    independent noise the trailing mean of a resample varies as that of the curve does. Raises
    ValueError below `FEWEST` epochs.
    """
    curves = [np.asarray(run, dtype=np.float64) for run in runs]
    shortest = min(map(len, curves))
    if shortest < FEWEST:
        raise ValueError(f"{shortest} epochs are too few to resample a curve; it takes {FEWEST}")
    block = max(BLOCK, window)
    longest = max(map(len, curves))
    places = rng.random(size=(resamples, -(-longest // block)))
    found = []
    for values in curves:
        n = len(values)
        smooth = _smooth(values)
        residuals = values - smooth
        residuals = (residuals - residuals.mean()) * _scale(n, window, block)
        starts = (places[:, : -(-n // block)] * (n - block + 1)).astype(np.int64)
        picked = (starts[:, :, None] + np.arange(block)).reshape(resamples, -1)[:, :n]
        found.append(crossings(smooth + residuals[picked], level, window))
    return np.array(found)


def _of_each(
    crossing: Callable[[ArrayLike, float, int], float | None],
    arms: Sequence[Mapping[int, ArrayLike]],
    seeds: Sequence[int],
    level: float,
    window: int,
) -> np.ndarray:
    """`crossing` of every run, (arms, seeds); NaN where there is none."""
    found = [[crossing(arm[seed], level, window) for seed in seeds] for arm in arms]
    return np.array([[np.nan if e is None else e for e in arm] for arm in found], dtype=np.float64)


def _geometric(epochs: np.ndarray) -> np.ndarray:
    """Means (arms,) over seeds; of one seed its own value, to the last digit."""
    mean: np.ndarray = np.exp(np.log(epochs).mean(axis=1))
    return epochs[:, 0] if epochs.shape[1] == 1 else mean


def _one_pair(
    baseline: ArrayLike, pcpo: ArrayLike, level: float, window: int
) -> tuple[float, float, str]:
    """(low, high, method); NaN where neither run reaches the level, or one is too short."""
    lengths = [len(np.asarray(run)) for run in (baseline, pcpo)]
    if min(lengths) < window:
        return np.nan, np.nan, f"none: a run is shorter than the trailing mean of {window} epochs"
    if min(lengths) < FEWEST:
        return np.nan, np.nan, f"none: a run of fewer than {FEWEST} epochs is not resampled"
    if all(first_crossing(run, level, window) is None for run in (baseline, pcpo)):
        return np.nan, np.nan, "none: neither run reaches the level"
    rng = np.random.default_rng(0)
    first, second = resampled_crossings([baseline, pcpo], level, rng, window)
    with np.errstate(divide="ignore"):
        lows = np.where(np.isinf(first), lengths[0], first) / second
        highs = first / np.where(np.isinf(second), lengths[1], second)
    tail = (1.0 - COVERAGE) / 2.0
    # Quantiles of the sample, not between two of its values: some are infinite.
    low = np.quantile(lows, tail, method="inverted_cdf")
    high = np.quantile(highs, 1.0 - tail, method="inverted_cdf")
    return 100.0 * (float(low) - 1.0), 100.0 * (float(high) - 1.0), ONE_RUN


def _smooth(values: np.ndarray) -> np.ndarray:
    """Local quadratic fit along the first axis, (epochs, ...); the ends share a span's fit."""
    n = len(values)
    span = min(SPAN, n if n % 2 else n - 1)
    smooth: np.ndarray = savgol_filter(values, span, 2, axis=0, mode="interp")
    return smooth


def _scale(n: int, window: int, block: int) -> float:
    """What residuals are multiplied by; see `resampled_crossings`.

    With independent noise of variance 1 the residuals are R times the noise, R = 1 - smoother. The
    sum of `window` residuals in a row should vary by `window`; in a resample it lies within one
    block or is cut in two by a joint at any place.
    """
    sums = np.vstack([np.zeros(n), np.cumsum(np.eye(n) - _smooth(np.eye(n)), axis=0)])
    within = [0.0] + [float(((sums[k:] - sums[:-k]) ** 2).sum(1).mean()) for k in range(1, window)]
    whole = float(((sums[window:] - sums[:-window]) ** 2).sum(1).mean())
    cut = sum(within[k] + within[window - k] for k in range(1, window))
    return float(np.sqrt(window * block / ((block - window + 1) * whole + cut)))
