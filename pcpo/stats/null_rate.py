"""How often the paper's test over prompts tells two trainings of one arm apart (A/A).

Tables 3 and 4 of the paper compare two training runs, prompt by prompt. The same test between two
runs of one arm, which differ in nothing but their seed, should call 5 % of pairs different at the
5 % level. It calls more where runs differ at random, as the prompts of a run share its effect.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

ALPHA = 0.05  # the paper's


class NullRate(NamedTuple):
    """Share of pairs with p below `ALPHA`, its 95 % interval, pairs, and disjoint pairs."""

    share: float
    low: float
    high: float
    pairs: int
    disjoint: int


def pair_p(first: ArrayLike, second: ArrayLike) -> float:
    """p of the paper's model value ~ run + (1 | prompt), values (prompts,) of two runs.

    The closed form of REML in this balanced case, with Wald's z: the paired comparison where the
    prompts' variance is above 0, else that of two independent samples. NaN below two prompts or
    where all differences are equal.
    """
    # Here and below: every figure imports this module, and the import would be most of its start.
    from scipy import stats

    a, b = (np.asarray(values, dtype=np.float64) for values in (first, second))
    difference, n = b - a, len(a)
    if n < 2:
        return float("nan")
    within = difference.var(ddof=1) / 2
    between = 2 * ((a + b) / 2).var(ddof=1)
    residual = within if between > within else (within + between) / 2
    if residual <= 0:
        return float("nan")
    return float(2 * stats.norm.sf(abs(difference.mean()) / np.sqrt(2 * residual / n)))


def null_pairs(per_prompt: pd.DataFrame) -> pd.DataFrame:
    """Rows `experiment, arm, metric, first, second, p`: one per pair of seeds of a trained arm.

    per_prompt: `frames.METRICS_PER_PROMPT`. Prompts without a value in one of the runs are left
    out. Without a second seed of any arm the frame has no rows.
    """
    trained = per_prompt[per_prompt["arm"] != "base"]
    rows = []
    for (experiment, arm, metric), of_arm in trained.groupby(["experiment", "arm", "metric"]):
        wide = of_arm.pivot(index="prompt_id", columns="seed", values="value")
        for first, second in itertools.combinations(wide.columns, 2):
            both = wide[[first, second]].dropna()
            p = pair_p(both[first], both[second])
            rows.append((experiment, arm, metric, int(str(first)), int(str(second)), p))
    columns = ["experiment", "arm", "metric", "first", "second", "p"]
    return pd.DataFrame(rows, columns=columns).dropna(subset="p").reset_index(drop=True)


def null_rate(pairs: pd.DataFrame) -> NullRate:
    """The share over rows of `null_pairs`; experiments count by their number of disjoint pairs.

    Pairs share runs and are not independent, so that a binomial interval over them would be too
    narrow. A mean over all pairs of S runs is the mean, over all orders of the runs, of means over
    S // 2 disjoint pairs (Hoeffding, J. Am. Stat. Assoc. 58, 1963, Sec. 5), and so it varies no
    more than one of these. Of some of the pairs, disjoint ones are counted in the same way. The
    interval is Wilson's for that many independent pairs; arms and metrics of an experiment add
    none. It is rather too wide than too narrow. NaN without pairs.
    """
    from statsmodels.stats.proportion import proportion_confint

    if pairs.empty:
        return NullRate(np.nan, np.nan, np.nan, 0, 0)
    shares, weights = [], []
    for _, rows in pairs.groupby("experiment"):
        shares.append(float((rows["p"] < ALPHA).mean()))
        weights.append(_disjoint({*zip(rows["first"], rows["second"], strict=True)}))
    share, disjoint = float(np.average(shares, weights=weights)), sum(weights)
    low, high = proportion_confint(share * disjoint, disjoint, method="wilson")
    return NullRate(share, float(low), float(high), len(pairs), disjoint)


def _disjoint(pairs: set[tuple[int, int]]) -> int:
    """How many pairs share no run, taken in order; S // 2 of all pairs of S runs."""
    used: set[int] = set()
    count = 0
    for pair in sorted(pairs):
        if used.isdisjoint(pair):
            used.update(pair)
            count += 1
    return count
