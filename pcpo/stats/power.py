"""How often a study would decide a claim: the verdict's own test on simulated runs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcpo.stats.region import ALPHA, region_test

STUDIES = 20_000


class Rates(NamedTuple):
    """Shares of studies that say holds and fails."""

    holds: float
    fails: float


def rates(
    effect: float, sd: float, runs: int, low: float, high: float, studies: int = STUDIES
) -> Rates:
    """Of a claim that the quantity lies in (low, high), where it is `effect`.

    A study has `runs` paired differences, normal with mean `effect` and standard deviation `sd`
    (all on the scale of the test), and is judged by `pcpo.stats.region`. Simulated with a fixed
    seed; an error of 0.01 at most. Raises ValueError below two runs or for a negative `sd`.
    """
    if runs < 2 or not sd >= 0:
        raise ValueError(f"rates: {runs} runs and sd {sd}; a study needs two runs and an sd >= 0")
    draws = effect + sd * np.random.default_rng(0).standard_normal((studies, runs))
    error = draws.std(axis=1, ddof=1) / np.sqrt(runs)
    inside, p = region_test(draws.mean(axis=1), error, runs - 1, low, high)
    decided = p < ALPHA
    return Rates(float((decided & inside).mean()), float((decided & ~inside).mean()))
