"""Speed-up of one arm over another, with its uncertainty.

Several pairs of runs (both arms trained with the same seed): the geometric mean of their ratios of
epochs, and Student's t interval of the log ratios over pairs. It covers the variation between
training runs. Ratios are averaged as logarithms: half and twice the epochs average to no speed-up.

One pair: a moving-block bootstrap. Each reward curve is smoothed, blocks of consecutive residuals
are drawn with replacement and added to the smooth curve, and the crossings of these curves give the
percentile interval. It covers the noise of the epochs' mean rewards (new images and
prompts, and what lasts up to a block's length), not another training run. The smooth curve carries
some of that noise itself, so that the interval tends to be too wide, not too narrow.

Epochs are whole, as the paper prints them; speed-ups and intervals are of crossings interpolated
between epochs (`pcpo.stats.speedup`).

A run that ends below the level has not crossed up to its last epoch: its speed-up is known as a
bound alone, and the interval takes the bound's far end. Of a run that is shorter than the window
nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.signal import savgol_filter

from pcpo.stats.intervals import COVERAGE, t_interval
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

    `percent` is NaN where a run ends below the level; `at_least` or `at_most` then holds the bound
    that one pair of runs gives. `low` may be -100 (PCPO may never reach the level) and
    `high` inf (the baseline may never). Epochs (of first crossing, whole for one run) and crossings
    (interpolated, of which the speed-up is taken) are geometric means over the runs, NaN where one
    never reaches the level.
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
    elif np.isfinite(percent):
        method = f"t interval over {len(seeds)} training seeds"
        interval = t_interval(logs[0] - logs[1])
        low, high = (100.0 * float(np.expm1(end)) for end in (interval.low, interval.high))
    else:
        method = f"none: not every one of {len(seeds)} runs per arm reaches the level"
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
    rewards: ArrayLike,
    level: float,
    rng: np.random.Generator,
    window: int = WINDOW,
    resamples: int = RESAMPLES,
) -> np.ndarray:
    """Interpolated crossings (resamples,) of moving-block resamples of one curve; inf for none.

    Residuals are scaled up for what the smoother took of them: so that for independent noise the
    trailing mean of a resample varies as that of the curve does. Raises ValueError below `FEWEST`
    epochs.
    """
    values = np.asarray(rewards, dtype=np.float64)
    n = len(values)
    if n < FEWEST:
        raise ValueError(f"{n} epochs are too few to resample a curve; it takes {FEWEST}")
    block = max(BLOCK, window)
    smooth = _smooth(values)
    residuals = values - smooth
    residuals = (residuals - residuals.mean()) * _scale(n, window, block)
    starts = rng.integers(0, n - block + 1, size=(resamples, -(-n // block)))
    picked = (starts[:, :, None] + np.arange(block)).reshape(resamples, -1)[:, :n]
    return crossings(smooth + residuals[picked], level, window)


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
    first, second = (resampled_crossings(run, level, rng, window) for run in (baseline, pcpo))
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
