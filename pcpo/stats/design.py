"""What a mixed model is fitted to: response, fixed effects, and whether they can be estimated."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf


class UnidentifiableError(ValueError):
    """The data do not determine the model; `reason` says why."""

    def __init__(self, formula: str, reason: str) -> None:
        super().__init__(f"mixed model '{formula}': {reason}")
        self.reason = reason


@dataclass(frozen=True)
class Design:
    """`endog` (N,) and `exog` (N, p) of a formula; `frame` has the same N rows, renumbered."""

    formula: str
    effects: tuple[str, ...]
    endog: np.ndarray
    exog: np.ndarray
    frame: pd.DataFrame

    def refuse(self, reason: str) -> UnidentifiableError:
        return UnidentifiableError(self.formula, reason)


def read_design(frame: pd.DataFrame, formula: str, others: Sequence[str] = ()) -> Design:
    """Evaluate `formula` on `frame`; `others` are columns that the random effects need.

    Raises ValueError for a missing column, NaN or infinite values in a column that is used, or a
    formula that cannot be read; `UnidentifiableError` for a factor combination without rows,
    collinear effects, or a response that is constant or leaves no residual.
    """
    for column in others:
        if column not in frame.columns:
            raise ValueError(
                f"mixed model '{formula}': the frame has no column '{column}' to group by"
            )
    if not len(frame):
        raise ValueError(f"mixed model '{formula}': the frame has no rows")
    named = set(re.findall(r"[^\W\d]\w*", formula))
    used = [c for c in frame.columns if c in named or c in others]
    numeric = frame[used].select_dtypes("number")
    unusable = frame[used].isna()
    unusable[numeric.columns] |= ~np.isfinite(numeric.to_numpy(dtype=float, na_value=np.nan))
    if unusable.to_numpy().any():
        columns = list(unusable.columns[unusable.any()])
        rows = [int(i) for i in np.flatnonzero(unusable.any(axis=1))]
        raise ValueError(
            f"mixed model '{formula}': NaN or infinite values in {columns}, {len(rows)} rows, "
            f"first {rows[:5]}; drop or repair those rows"
        )
    frame = frame.reset_index(drop=True)
    try:
        model = smf.ols(formula, frame)
    except Exception as error:
        raise ValueError(f"mixed model '{formula}': {error}") from error
    effects = tuple(map(str, model.exog_names))
    endog, exog = np.asarray(model.endog, float), np.asarray(model.exog, float)
    design = Design(formula, effects, endog, exog, frame)
    _check_fixed_effects(design, [c for c in used if c in named])
    return design


def residuals(values: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """`values` (N,) less their least-squares fit on `columns` (N, k)."""
    return values - columns @ np.linalg.lstsq(columns, values, rcond=None)[0]


def _check_fixed_effects(design: Design, columns: Sequence[str]) -> None:
    exog, endog = design.exog, design.endog
    if np.ptp(endog) <= 1e-12 * np.abs(endog).max():
        raise design.refuse("the response is constant: no residual variance to estimate")
    scaled = exog / np.maximum(np.linalg.norm(exog, axis=0), np.finfo(float).tiny)
    rank = np.linalg.matrix_rank(scaled)
    if rank < exog.shape[1]:
        cell = _empty_cell(design.frame, columns)
        if cell:
            raise design.refuse(f"no rows for {cell}: a cell of the design is empty")
        others = [np.delete(scaled, i, axis=1) for i in range(exog.shape[1])]
        involved = [
            effect
            for effect, rest in zip(design.effects, others, strict=True)
            if np.linalg.matrix_rank(rest) == rank
        ]
        raise design.refuse(f"the effects {', '.join(involved)} are collinear")
    if len(endog) <= exog.shape[1]:
        raise design.refuse(f"{exog.shape[1]} effects for {len(endog)} rows leave no residual")
    left = np.linalg.norm(residuals(endog, exog))
    if left <= 1e-10 * np.linalg.norm(endog):
        raise design.refuse("the effects explain the response exactly: no variance to estimate")


def _empty_cell(frame: pd.DataFrame, columns: Sequence[str]) -> str:
    """The first combination of the factors' levels that no row has, or an empty string."""
    levels: dict[str, list[object]] = {}
    for column in columns:
        values = frame[column]
        if isinstance(values.dtype, pd.CategoricalDtype):
            levels[column] = list(values.cat.categories)
        elif not pd.api.types.is_numeric_dtype(values):
            levels[column] = list(values.unique())
    present = set(frame[list(levels)].itertuples(index=False, name=None))
    for cell in itertools.product(*levels.values()):
        if cell not in present:
            return ", ".join(f"{c} = {level}" for c, level in zip(levels, cell, strict=True))
    return ""
