"""Random effects of a mixed model, and whether the data can separate their variances.

A term is lme4's `(columns | group)`: for each level of the group a vector of `c` coefficients,
normal with covariance s^2 L L^T, where s^2 is the residual variance and L a lower triangle whose
entries, column by column, are the parameters theta.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from pcpo.stats.design import Design, residuals


@dataclass(frozen=True)
class RandomTerm:
    """Coefficients of `columns` (N, c) for each of the levels 0..L-1 in `levels` (N,)."""

    name: str
    columns: np.ndarray
    levels: np.ndarray

    @cached_property
    def n_levels(self) -> int:
        return int(self.levels.max()) + 1

    @property
    def entries(self) -> list[tuple[int, int]]:
        """(row, column) of L for each parameter."""
        c = self.columns.shape[1]
        return [(i, j) for j in range(c) for i in range(j, c)]

    @cached_property
    def matrix(self) -> np.ndarray:
        """Z, (N, L * c): the c columns of a level are adjacent."""
        rows, c = self.columns.shape
        z = np.zeros((rows, self.n_levels, c))
        z[np.arange(rows), self.levels] = self.columns
        return z.reshape(rows, -1)

    def factor(self, theta: np.ndarray) -> np.ndarray:
        """L, (c, c)."""
        c = self.columns.shape[1]
        factor = np.zeros((c, c))
        for value, entry in zip(theta, self.entries, strict=True):
            factor[entry] = value
        return factor

    def repeated(self, block: np.ndarray) -> np.ndarray:
        """A (c, c) covariance of one level as (L * c, L * c) of all."""
        return np.kron(np.eye(self.n_levels), block)


def random_intercept(design: Design, group: str) -> RandomTerm:
    """(1 | group)."""
    return RandomTerm(group, np.ones((len(design.endog), 1)), pd.factorize(design.frame[group])[0])


def random_slope(design: Design, slope: str, group: str) -> RandomTerm:
    """(slope | group): intercept and slope, correlated; a factor has one slope per contrast."""
    values = design.frame[slope]
    if pd.api.types.is_numeric_dtype(values):
        contrasts = values.to_numpy(float)[:, None]
    else:
        contrasts = pd.get_dummies(values, drop_first=True).to_numpy(float)
    columns = np.hstack([np.ones((len(values), 1)), contrasts])
    return RandomTerm(f"{slope} | {group}", columns, pd.factorize(design.frame[group])[0])


def check_identifiable(design: Design, terms: Sequence[RandomTerm]) -> None:
    """Raise `UnidentifiableError` if the variances do not follow from the data, as lme4 would.

    Variances are identified where the covariances of the residuals K y that their components would
    cause are linearly independent: K Z_i Z_j^T K and K itself, with K the projection off the fixed
    effects (the information of REML at the model without random effects).
    """
    n = len(design.endog)
    for term in terms:
        if term.n_levels < 2:
            raise design.refuse(f"({term.name}) has one group only: no variance between groups")
        if term.matrix.shape[1] >= n:
            raise design.refuse(
                f"({term.name}) has {term.matrix.shape[1]} random effects for {n} rows: "
                "they cannot be separated from the residual"
            )
    z = np.hstack([term.matrix for term in terms])
    if np.linalg.matrix_rank(np.hstack([design.exog, z])) >= n:
        raise design.refuse("as many effects and groups as rows: no residual variance to estimate")
    within = residuals(design.endog, np.hstack([design.exog, z]))
    if np.linalg.norm(within) <= 1e-10 * np.linalg.norm(design.endog):
        raise design.refuse(
            "no residual variance within groups, so that standard errors are undefined"
        )

    s = z.T @ (z - design.exog @ np.linalg.lstsq(design.exog, z, rcond=None)[0])
    owners, components, start = [], [], 0
    for term in terms:
        stop = start + term.matrix.shape[1]
        for i, j in term.entries:
            block = np.zeros((term.columns.shape[1],) * 2)
            block[i, j] = block[j, i] = 1.0
            columns = np.zeros_like(s)
            columns[:, start:stop] = s[:, start:stop] @ term.repeated(block)
            owners.append(term.name)
            components.append(columns)
        start = stop
    gram = np.empty((len(components) + 1,) * 2)
    for a, left in enumerate(components):
        gram[a, -1] = gram[-1, a] = np.trace(left)
        for b, right in enumerate(components):
            gram[a, b] = np.sum(left * right.T)
    gram[-1, -1] = n - design.exog.shape[1]
    size = np.sqrt(np.diag(gram).clip(min=0.0))  # rounding leaves a zero on either side
    largest = np.array([np.sum(term.matrix**2) for term in terms for _ in term.entries])
    for name, own, whole in zip(owners, size, largest, strict=False):
        if own <= 1e-8 * whole:
            raise design.refuse(f"({name}) varies only with the fixed effects")
    if np.linalg.eigvalsh(gram / np.outer(size, size))[0] < 1e-10:
        names = ", ".join(f"({term.name})" for term in terms)
        raise design.refuse(f"the variances of {names} and of the residual cannot be separated")
