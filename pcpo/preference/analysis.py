"""Results of the preference study, from the frame `preference`.

The share of answers that prefer PCPO, with an interval that is robust to raters and prompts: the
answers of one rater are alike, and so are those on one prompt. Ties count as half an answer for
each. Raters who miss attention checks are left out, by a rule that is fixed before any answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import krippendorff
import numpy as np
import pandas as pd
from scipy import stats

from pcpo.preference.questions import COMPARISONS, QUESTIONS, Category, Comparison
from pcpo.stats.clusters import clustered_regression, clustered_share
from pcpo.stats.holm import holm

MOST_MISSED = 1 / 3  # of a rater's attention checks
CLUSTERS = ["rater", "prompt_id"]
SCORE = {"pcpo": 1.0, "tie": 0.5, "baseline": 0.0}


class Rate(NamedTuple):
    """A share with its 95 % interval, of `answers` by `raters` on `prompts`."""

    share: float
    low: float
    high: float
    df: int
    answers: int
    raters: int
    prompts: int


def counted(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that are counted: pairs as first seen, of raters who pass the checks, scored.

    `score` is 1 for PCPO, 0.5 for a tie, 0 for the baseline.
    """
    rows = frame[(frame["kind"] == "pair") & ~frame["rater"].isin(inattentive(frame))]
    return rows.assign(score=rows["preferred"].map(SCORE).astype(float))


def inattentive(frame: pd.DataFrame) -> list[int]:
    """Raters who miss more than `MOST_MISSED` of their checks.

    A check is missed if the damaged image is preferred in the first category, overall, or a tie is
    given. Raters who saw no check stay.
    """
    checks = frame[(frame["kind"] == "check") & (frame["category"] == "overall")]
    missed = (checks["preferred"] != "intact").groupby(checks["rater"]).mean()
    return sorted(int(rater) for rater in missed.index[missed > MOST_MISSED])


def rate(rows: pd.DataFrame) -> Rate:
    """Share of `counted` rows that prefer PCPO; NaN without rows."""
    if rows.empty:
        return Rate(np.nan, np.nan, np.nan, 0, 0, 0, 0)
    found = clustered_share(rows["score"], rows[CLUSTERS])
    return Rate(*found, len(rows), rows["rater"].nunique(), rows["prompt_id"].nunique())


class WinRate(NamedTuple):
    """Of a comparison and category. Ties are neither won nor lost."""

    comparison: Comparison
    category: Category
    wins: int
    ties: int
    losses: int
    rate: Rate
    binomial_p: float
    holm_p: float = np.nan


def win_rates(frame: pd.DataFrame) -> list[WinRate]:
    """One for each comparison and category.

    `binomial_p` is the two-sided exact test of wins against losses, which takes every answer for
    independent; `holm_p` is corrected over all of them. The interval is the result, they are a
    check.
    """
    rows = counted(frame)
    found = []
    for comparison in COMPARISONS:
        for category in QUESTIONS:
            own = rows[(rows["comparison"] == comparison) & (rows["category"] == category)]
            wins, losses = (int((own["preferred"] == arm).sum()) for arm in ("pcpo", "baseline"))
            p = float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else np.nan
            ties = len(own) - wins - losses
            found.append(WinRate(comparison, category, wins, ties, losses, rate(own), p))
    corrected = holm([one.binomial_p for one in found])
    return [one._replace(holm_p=float(p)) for one, p in zip(found, corrected, strict=True)]


class Devices(NamedTuple):
    """Shares on phones and on desktops, and desktop less phone with its interval."""

    category: Category
    phone: Rate
    desktop: Rate
    difference: float
    low: float
    high: float


def by_device(frame: pd.DataFrame) -> list[Devices]:
    """One for each category, both comparisons together; NaN where a device has no answers."""
    rows = counted(frame)
    found = []
    for category in QUESTIONS:
        own = rows[rows["category"] == category]
        phone, desktop = (rate(own[own["device"] == device]) for device in ("phone", "desktop"))
        gap = low = high = np.nan
        if phone.answers and desktop.answers:
            both = own[own["device"].isin(("phone", "desktop"))]
            on = (both["device"] == "desktop").to_numpy(dtype=float)
            design = np.column_stack([np.ones(len(on)), on])
            fitted = clustered_regression(both["score"], design, both[CLUSTERS])
            gap = float(fitted.values[1])
            low, high = fitted.ends(1) if fitted.df else (np.nan, np.nan)
        found.append(Devices(category, phone, desktop, gap, low, high))
    return found


class Strength(NamedTuple):
    """Log-odds of one checkpoint of the baseline, PCPO's being 0, and its standard error."""

    comparison: Comparison
    value: float
    error: float


def bradley_terry(frame: pd.DataFrame, category: Category) -> list[Strength]:
    """Strengths of the baseline's two checkpoints against PCPO's, by a logistic regression.

    P(i preferred to j) = 1 / (1 + exp(s_j - s_i)) (Bradley and Terry, Biometrika 39, 1952). Ties
    are half a win for each. Errors are robust to raters. NaN for a checkpoint that always or never
    wins, or has no answers.
    """
    import statsmodels.api as sm  # as in `pcpo.stats.clusters`

    rows = counted(frame)
    rows = rows[rows["category"] == category]
    shares = {c: rows.loc[rows["comparison"] == c, "score"].mean() for c in COMPARISONS}
    known = [comparison for comparison, share in shares.items() if 0 < share < 1]
    own = rows[rows["comparison"].isin(known)]
    fitted: dict[Comparison, Strength] = {}
    if known and own["rater"].nunique() > 1:
        design = np.column_stack([np.where(own["comparison"] == c, -1.0, 0.0) for c in known])
        model = sm.GLM(own["score"].to_numpy(), design, family=sm.families.Binomial())
        raters = np.unique(own["rater"], return_inverse=True)[1]
        result = model.fit(cov_type="cluster", cov_kwds={"groups": raters})
        for comparison, value, error in zip(known, result.params, result.bse, strict=True):
            fitted[comparison] = Strength(comparison, float(value), float(error))
    return [fitted.get(c, Strength(c, np.nan, np.nan)) for c in COMPARISONS]


def agreement(frame: pd.DataFrame, category: Category) -> tuple[float, int]:
    """Krippendorff's alpha (nominal) between raters, and the number of pairs with two or more.

    1: all agree; 0: as by chance. NaN where no pair has two answers, or all answers are the same.
    """
    rows = counted(frame)
    rows = rows[rows["category"] == category]
    pair = ["comparison", "seed", "prompt_id", "image_seed"]
    counts = pd.crosstab([rows[c] for c in pair], rows["preferred"])
    counts = counts[counts.sum(axis=1) > 1]
    if counts.empty or (counts.sum() > 0).sum() < 2:
        return np.nan, len(counts)
    alpha = krippendorff.alpha(
        value_counts=counts.to_numpy(), value_domain=[*counts.columns],
        level_of_measurement="nominal",
    )  # fmt: skip
    return float(alpha), len(counts)


class Quality(NamedTuple):
    """How carefully raters answered. Shares of answers to the first category, overall."""

    raters: int
    left_out: int
    left: float  # share of answers (ties left out) for the image on the left
    left_p: float  # exact two-sided test against a half
    pcpo_left: float  # share of questions with PCPO's image on the left
    repeated: int  # pairs that came twice
    consistent: float  # share of them with the same answer
    seconds: float  # median per question


def quality(frame: pd.DataFrame) -> Quality:
    """Checks of raters and of the page; NaN where there are no answers."""
    out = inattentive(frame)
    kept = frame[~frame["rater"].isin(out) & (frame["category"] == "overall")]
    pairs = kept[kept["kind"] == "pair"]
    sided = pairs[pairs["preferred"] != "tie"]
    left = (sided["side"] == "left") == (sided["preferred"] == "pcpo")
    same = ["rater", "comparison", "seed", "prompt_id", "image_seed"]
    twice = kept[kept["kind"] == "repeat"].merge(pairs, on=same, suffixes=("", "_before"))
    return Quality(
        raters=int(frame["rater"].nunique()),
        left_out=len(out),
        left=_mean(left),
        left_p=float(stats.binomtest(int(left.sum()), len(left)).pvalue) if len(left) else np.nan,
        pcpo_left=_mean(pairs["side"] == "left"),
        repeated=len(twice),
        consistent=_mean(twice["preferred"] == twice["preferred_before"]),
        seconds=float(pairs["seconds"].median()) if len(pairs) else np.nan,
    )


def _mean(values: Sequence[bool] | pd.Series) -> float:
    return float(np.mean(values)) if len(values) else np.nan
