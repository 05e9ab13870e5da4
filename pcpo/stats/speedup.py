"""Speed-up to a reward level: Tables 1 and 10 of the paper.

A run reaches a level in the first epoch whose trailing mean of the training reward is at least the
level. The trailing mean uses no later epoch; the centred mean of a plot would cross two epochs
earlier for the same window of five.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

WINDOW = 5  # epochs, Appendix B.3.4

# Where a scale has no published levels: shares of the way from the start to the common top.
LEVEL_FRACTIONS = (0.95, 0.80, 0.65, 0.50)


def trailing_mean(rewards: ArrayLike, window: int = WINDOW) -> np.ndarray:
    """Mean of each epoch and the `window` - 1 before it; the first epochs average what there is.

    `rewards` is (epochs,), in order from epoch 1. Raises ValueError on NaN or a wrong shape.
    """
    values = _checked(rewards, window)
    # fsum: a constant curve at 6.9 must average to 6.9, not to 6.8999999.
    means = [
        math.fsum(values[max(0, i - window + 1) : i + 1]) / min(window, i + 1)
        for i in range(len(values))
    ]
    return np.array(means, dtype=np.float64)


def first_crossing(rewards: ArrayLike, level: float, window: int = WINDOW) -> int | None:
    """First 1-based epoch whose trailing mean is at least `level`; None if no epoch's is."""
    reached = np.flatnonzero(trailing_mean(rewards, window) >= level)
    return int(reached[0]) + 1 if len(reached) else None


def speedup_percent(baseline_epochs: float, pcpo_epochs: float) -> float:
    """100 * (E_baseline / E_pcpo - 1), as in Tables 1 and 10; ValueError below 1 epoch."""
    if not (baseline_epochs >= 1 and pcpo_epochs >= 1):
        raise ValueError(
            f"speedup_percent: epochs {baseline_epochs} and {pcpo_epochs} must be >= 1"
        )
    return 100.0 * (baseline_epochs / pcpo_epochs - 1.0)


def common_levels(
    baseline_rewards: ArrayLike,
    pcpo_rewards: ArrayLike,
    fractions: Sequence[float] = LEVEL_FRACTIONS,
    window: int = WINDOW,
) -> tuple[float, ...]:
    """Reward levels that both runs reach, for a scale without published levels.

    Each level lies `fraction` of the way from the reward of the first epoch (mean of both runs) to
    the highest trailing mean that both runs reach. Returned in the order of `fractions`; empty if
    one of the runs never rises above the start.
    """
    if not all(0.0 < f <= 1.0 for f in fractions):
        raise ValueError(f"common_levels: fractions {tuple(fractions)} must lie in (0, 1]")
    curves = [trailing_mean(r, window) for r in (baseline_rewards, pcpo_rewards)]
    start = float(np.mean([curve[0] for curve in curves]))
    top = float(min(curve.max() for curve in curves))
    if top <= start:
        return ()
    return tuple(min(top, start + f * (top - start)) for f in fractions)


@dataclass(frozen=True)
class SpeedupInterval:
    """Central `coverage` interval of the speed-up in percent.

    -100 stands for a PCPO run that never reaches the level, inf for a baseline that never does;
    both ends are NaN if neither run reached it in any resample. `both_reached` is the share of
    resamples in which both did.
    """

    low: float
    high: float
    coverage: float
    both_reached: float
    note: str = (
        "interval of one run per arm: sampling noise of each epoch's mean reward only, "
        "not the variation between training runs"
    )


def speedup_interval(
    baseline_rewards: ArrayLike,
    baseline_errors: ArrayLike,
    pcpo_rewards: ArrayLike,
    pcpo_errors: ArrayLike,
    level: float,
    window: int = WINDOW,
    resamples: int = 2000,
    coverage: float = 0.95,
    seed: int = 0,
) -> SpeedupInterval:
    """Interval of the speed-up under the sampling noise of the reward curves.

    `*_errors` (epochs,) is the standard error of each epoch's mean reward, reward_std /
    sqrt(images). Every resample adds independent Gaussian noise of that size to both curves. The
    observed curves are noisy already, so the interval is slightly too wide rather than too narrow
    for this noise; it says nothing about other training seeds.
    """
    rng = np.random.default_rng(seed)
    epochs = []
    for rewards, errors in ((baseline_rewards, baseline_errors), (pcpo_rewards, pcpo_errors)):
        mean = _checked(rewards, window)
        error = np.asarray(errors, dtype=np.float64)
        if error.shape != mean.shape or not np.isfinite(error).all() or (error < 0).any():
            raise ValueError(
                f"speedup_interval: standard errors of shape {error.shape} for {mean.shape} "
                "rewards; they must be finite, not negative, and one per epoch"
            )
        draws = mean + error * rng.standard_normal((resamples, len(mean)))
        epochs.append(_crossings(draws, level, window))
    baseline, pcpo = epochs
    with np.errstate(invalid="ignore"):
        speedups = 100.0 * (baseline / pcpo - 1.0)  # inf / inf, neither reached: NaN, dropped
    both = float(np.mean(np.isfinite(baseline) & np.isfinite(pcpo)))
    speedups = speedups[~np.isnan(speedups)]
    if not len(speedups):
        return SpeedupInterval(math.nan, math.nan, coverage, both)
    tail = (1.0 - coverage) / 2.0
    # A quantile of the sample, not between two of its values: some may be infinite.
    low, high = np.quantile(speedups, [tail, 1.0 - tail], method="inverted_cdf")
    return SpeedupInterval(float(low), float(high), coverage, both)


def _crossings(curves: np.ndarray, level: float, window: int) -> np.ndarray:
    """First crossing of each row of `curves` (R, epochs) as float (R,); inf where there is none."""
    sums = np.cumsum(curves, axis=1)
    sums[:, window:] = sums[:, window:] - sums[:, :-window]
    counts = np.minimum(np.arange(1, curves.shape[1] + 1), window)
    reached = sums / counts >= level
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, np.inf)


def _checked(rewards: ArrayLike, window: int) -> np.ndarray:
    values = np.asarray(rewards, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"rewards have shape {values.shape}, expected one value per epoch")
    if not np.isfinite(values).all():
        raise ValueError(
            f"rewards contain NaN or infinite values, first in epoch "
            f"{int(np.flatnonzero(~np.isfinite(values))[0]) + 1}"
        )
    if window < 1:
        raise ValueError(f"window is {window}; it counts epochs and must be at least 1")
    return values
