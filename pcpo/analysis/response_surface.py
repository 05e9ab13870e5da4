"""Response surface of a grid of experiments: how the gain of PCPO depends on the settings.

An experiment is a cell of a design with coded levels -1, 0, 1 of each factor
(`pcpo.config.grid.coded_levels`). A response is one number for each cell and training seed. The
surface is linear in all factors and in all products of two of them, fitted by ordinary least
squares. All cells have the same seeds, which are blocks: what a seed adds to all of its cells is
taken out of the residual. So intervals are of these seeds; the seeds of a cell are replicates
otherwise. Box and Draper, Empirical Model-Building, 1987.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pcpo.analysis.outcomes import (
    areas,
    of_shared_seeds,
    shared_ends,
    shared_level,
    times_to,
    validation_curve,
)
from pcpo.compared import COMPARED
from pcpo.stats.intervals import COVERAGE
from pcpo.stats.restricted import restricted_log_ratios

RESPONSES = ("log_speedup", "area_gain")
Levels = Mapping[str, Mapping[str, int]]  # experiment -> coded level of each factor
MEAN = "mean"  # the term of the constant


class Undetermined(ValueError):
    """The runs do not determine the surface."""


def responses(validation: pd.DataFrame, cells: Levels) -> pd.DataFrame:
    """A row for each cell and training seed that baseline and PCPO share.

    Columns: experiment, seed, the factors (coded), `log_speedup` = log(epochs of the baseline /
    epochs of PCPO) to the level of the cell (`outcomes.shared_level`, from its own runs), `cut`,
    the number of its two runs that end below the level and count as their last epoch, and
    `area_gain` = area of PCPO minus that of the baseline, in the reward's unit. A cell without a
    level has NaN as `log_speedup`, and 0 as `cut`.
    """
    rows = []
    for name, levels in cells.items():
        own = validation[validation["experiment"] == name]
        arms = {
            arm: {
                int(str(seed)): validation_curve(run)
                for seed, run in own[own["arm"] == arm].groupby("seed")
            }
            for arm in COMPARED
        }
        pair = of_shared_seeds(*arms.values())
        if not pair[0]:
            continue
        level = shared_level(arms)
        times, gained = times_to(pair, level), areas(pair)
        ends = shared_ends(pair)
        logs = restricted_log_ratios(times[0], times[1], ends).logs
        cut = (~(times <= ends)).sum(axis=0)
        if not np.isfinite(level):
            logs, cut = np.full(len(logs), np.nan), np.zeros_like(cut)
        for i, seed in enumerate(pair[0]):
            rows.append(
                {"experiment": name, "seed": seed, **levels}
                | {"log_speedup": logs[i], "cut": int(cut[i])}
                | {"area_gain": gained[1, i] - gained[0, i]}
            )
    return pd.DataFrame(rows)


class Centre(NamedTuple):
    """Mean of the centre's runs (NaN without any), and the surface there with its interval."""

    observed: float
    predicted: float
    low: float
    high: float


class LackOfFit(NamedTuple):
    """F of the means of cells against the surface; NaN where no degree of freedom is left.

    With 16 corners and all products of five factors, the centre is the only one that is left: the
    test is that of curvature.
    """

    f: float
    cells: int  # degrees of freedom of the cells
    runs: int  # and of the runs within cells
    p: float


@dataclass(frozen=True)
class Surface:
    """terms: `coef`, `low`, `high` (95 %), `p`, by term: MEAN, a factor, or two with x between.

    A coefficient is the change from the centre to the high level, half of the change from low to
    high. predicted: see `predicted_by_others`.
    """

    terms: pd.DataFrame
    centre: Centre
    lack_of_fit: LackOfFit
    predicted: pd.DataFrame
    runs: int


def fit(frame: pd.DataFrame, response: str, factors: Sequence[str]) -> Surface:
    """Fit a column of `responses`; rows with NaN there are left out.

    Raises Undetermined where the cells do not determine all terms, or no run is left over.
    """
    rows = frame[np.isfinite(frame[response])]
    fitted = _fitted(rows, response, factors)
    interval = fitted.conf_int(1 - COVERAGE)
    every = pd.DataFrame(
        {"coef": fitted.params, "low": interval[0], "high": interval[1], "p": fitted.pvalues}
    )
    terms = every.loc[[*_terms(rows, factors)]]
    centre = pd.DataFrame([dict.fromkeys(factors, 0)])
    middle = rows.loc[(rows[list(factors)] == 0).all(axis=1), response]
    return Surface(
        terms,
        Centre(middle.mean(), *_there(fitted, centre, factors)),
        _lack_of_fit(rows, response, fitted.ssr, len(terms)),
        predicted_by_others(rows, response, factors),
        len(rows),
    )


class Point(NamedTuple):
    """The surface at a point, with its interval (95 %) and that interval's degrees of freedom."""

    value: float
    low: float
    high: float
    df: float


def at_point(
    frame: pd.DataFrame, response: str, factors: Sequence[str], levels: Mapping[str, int]
) -> Point:
    """The fitted surface at coded levels, the mean over the seeds. Raises as `fit`."""
    fitted = _fitted(frame[np.isfinite(frame[response])], response, factors)
    return Point(*_there(fitted, pd.DataFrame([levels]), factors), fitted.df_resid)


def _fitted(rows: pd.DataFrame, response: str, factors: Sequence[str]) -> Any:
    """statsmodels' results of all terms and the seeds' blocks."""
    import statsmodels.api as sm

    terms = _terms(rows, factors)
    columns = pd.concat([terms, _blocks(rows)], axis=1)
    if len(rows) <= columns.shape[1] or np.linalg.matrix_rank(columns) < columns.shape[1]:
        raise Undetermined(
            f"response surface of {response}: {rows['experiment'].nunique()} cells with "
            f"{len(rows)} runs do not determine its {terms.shape[1]} terms"
        )
    return sm.OLS(rows[response].to_numpy(), columns).fit()


def _there(fitted: Any, point: pd.DataFrame, factors: Sequence[str]) -> tuple[float, float, float]:
    """The surface and its interval at the coded levels of `point` (1, factors)."""
    row = _terms(point, factors).reindex(columns=fitted.model.exog_names, fill_value=0.0)
    found = fitted.get_prediction(row).summary_frame(1 - COVERAGE).iloc[0]
    return found["mean"], found["mean_ci_lower"], found["mean_ci_upper"]


def predicted_by_others(frame: pd.DataFrame, response: str, factors: Sequence[str]) -> pd.DataFrame:
    """`observed` mean of each cell, by experiment, and what the other cells predict for it.

    The prediction is of a surface without products, fitted without the cell: a surface with all of
    them goes nearly through every cell, whatever the cells are.
    """
    rows = frame[np.isfinite(frame[response])]
    plain = np.column_stack([np.ones(len(rows)), rows[list(factors)].to_numpy(np.float64)])
    values = rows[response].to_numpy()
    found = {}
    for name in rows["experiment"].unique():
        own = (rows["experiment"] == name).to_numpy()
        surface = np.linalg.lstsq(plain[~own], values[~own], rcond=None)[0]
        found[name] = {"observed": values[own].mean(), "predicted": plain[own][0] @ surface}
    return pd.DataFrame.from_dict(found, orient="index")


def _blocks(rows: pd.DataFrame) -> pd.DataFrame:
    """A column for each seed but the first, with mean 0 over the seeds.

    So the terms are means over the seeds, also where a seed lacks cells.
    """
    seeds = sorted(rows["seed"].unique())[1:]
    columns = {f"seed {seed}": (rows["seed"] == seed).astype(np.float64) for seed in seeds}
    found = pd.DataFrame(columns, index=rows.index)
    return found - 1 / (len(seeds) + 1)


def _terms(rows: pd.DataFrame, factors: Sequence[str]) -> pd.DataFrame:
    """The columns of the surface (rows, terms)."""
    coded = rows[list(factors)].astype(np.float64)
    columns = {MEAN: pd.Series(1.0, rows.index), **{name: coded[name] for name in factors}}
    columns |= {f"{one} x {two}": coded[one] * coded[two] for one, two in combinations(factors, 2)}
    return pd.DataFrame(columns)


def _lack_of_fit(rows: pd.DataFrame, response: str, residual: float, terms: int) -> LackOfFit:
    """residual: sum of squares around the surface with its blocks."""
    from scipy import stats

    cells, blocks = pd.get_dummies(rows["experiment"], dtype=np.float64), _blocks(rows)
    columns = np.column_stack([cells, blocks])
    values = rows[response].to_numpy()
    around = values - columns @ np.linalg.lstsq(columns, values, rcond=None)[0]
    within = float(np.square(around).sum())
    left, pure = cells.shape[1] - terms, len(rows) - columns.shape[1]
    if left < 1 or pure < 1 or np.isclose(within, 0, atol=1e-20):
        return LackOfFit(np.nan, left, pure, np.nan)
    f = max(0.0, residual - within) / left / (within / pure)
    return LackOfFit(f, left, pure, float(stats.f.sf(f, left, pure)))
