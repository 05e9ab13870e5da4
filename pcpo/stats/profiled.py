"""The restricted likelihood of a linear mixed model as a function of its variance ratios alone.

    y = X b + Z u + e,  e ~ N(0, s^2 I),  u ~ N(0, s^2 G(theta)),  W = I + Z G Z^T

b and s^2 have closed forms given theta and are profiled out, as in lme4 (Bates et al., J. Stat.
Softw. 67(1), 2015). Everything is reduced by Woodbury's identity to matrices of the size of the
random effects; gradient and Hessian are exact, so that the optimum is found to machine precision.
The deviance is even in the columns of L: a variance of zero is an ordinary stationary point.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import optimize

from pcpo.stats.random_effects import RandomTerm

# Starting values and brackets of theta, a ratio of standard deviations.
LARGEST = 1e4  # beyond it the closed forms lose their digits to cancellation
_ONE_PARAMETER = np.geomspace(1e-4, LARGEST, 33)
_STARTS = (0.03, 0.3, 1.0, 5.0)
_GRADIENT = 1e-6  # of a deviance in the hundreds; below it lies rounding


@dataclass(frozen=True)
class State:
    """The profiled likelihood at one theta; y is the residuals of least squares.

    P = W^-1 - W^-1 X A X^T W^-1; `first` and `second` are the derivatives of G.
    """

    theta: np.ndarray
    first: list[np.ndarray]
    second: dict[tuple[int, int], np.ndarray]
    coef: np.ndarray  # A X^T W^-1 y
    inverse: np.ndarray  # A = (X^T W^-1 X)^-1
    wzx: np.ndarray  # Z^T W^-1 X
    s: np.ndarray  # Z^T P Z
    u: np.ndarray  # Z^T P y
    log_determinants: float  # log|W| + log|X^T W^-1 X|
    quadratic: float  # y^T P y
    freedom: int  # n - p

    @property
    def variance(self) -> float:
        """s^2 by REML."""
        return self.quadratic / self.freedom

    @property
    def deviance(self) -> float:
        """-2 log restricted likelihood, with the constants of lme4."""
        scale = 1.0 + np.log(2.0 * np.pi * self.variance)
        return self.log_determinants + self.freedom * float(scale)

    @cached_property
    def _products(self) -> list[np.ndarray]:
        return [self.s @ g for g in self.first]

    @cached_property
    def determinant_gradient(self) -> np.ndarray:
        return np.array([np.trace(product) for product in self._products])

    @cached_property
    def quadratic_gradient(self) -> np.ndarray:
        return np.array([-self.u @ g @ self.u for g in self.first])

    @cached_property
    def determinant_hessian(self) -> np.ndarray:
        return self._symmetric(
            lambda i, j: (
                np.sum(self.s * self.second[i, j]) - np.sum(self._products[i] * self._products[j].T)
            )
        )

    @cached_property
    def quadratic_hessian(self) -> np.ndarray:
        pulled = [g @ self.u for g in self.first]
        return self._symmetric(
            lambda i, j: 2.0 * pulled[i] @ self.s @ pulled[j] - self.u @ self.second[i, j] @ self.u
        )

    @property
    def gradient(self) -> np.ndarray:
        return self.determinant_gradient + self.quadratic_gradient / self.variance

    @property
    def hessian(self) -> np.ndarray:
        slope = self.quadratic_gradient
        curved = self.quadratic_hessian - np.outer(slope, slope) / self.quadratic
        return self.determinant_hessian + curved / self.variance

    def _symmetric(self, entry) -> np.ndarray:  # type: ignore[no-untyped-def]
        k = len(self.first)
        return np.array([[entry(min(i, j), max(i, j)) for j in range(k)] for i in range(k)])


class ProfiledLikelihood:
    """Evaluates `State`s for one response (N,), design (N, p) and random terms."""

    def __init__(self, endog: np.ndarray, exog: np.ndarray, terms: Sequence[RandomTerm]) -> None:
        self.terms = list(terms)
        z = np.hstack([term.matrix for term in terms])
        self._freedom = exog.shape[0] - exog.shape[1]
        self._zz, self._zx, self._zy = z.T @ z, z.T @ exog, z.T @ endog
        self._xx, self._xy, self._yy = exog.T @ exog, exog.T @ endog, float(endog @ endog)
        self._sizes = [len(term.entries) for term in self.terms]
        self._widths = [term.matrix.shape[1] for term in self.terms]

    @property
    def n_parameters(self) -> int:
        return sum(self._sizes)

    def split(self, theta: np.ndarray) -> list[np.ndarray]:
        """The parameters of each term."""
        return np.split(theta, np.cumsum(self._sizes)[:-1])

    def at(self, theta: np.ndarray) -> State:
        theta = np.asarray(theta, dtype=float)
        g, first, second = self._covariance(theta)
        q, p = self._zx.shape
        middle = np.eye(q) + self._zz @ g
        # (I + Z'Z G)^-1 applied from the left: no difference of large numbers is formed.
        solved = np.linalg.solve(middle, np.column_stack([self._zz, self._zx, self._zy]))
        wzz, wzx, wzy = solved[:, :q], solved[:, q : q + p], solved[:, -1]
        wxx = self._xx - self._zx.T @ g @ wzx
        inverse = np.linalg.inv((wxx + wxx.T) / 2.0)
        right = self._xy - self._zx.T @ g @ wzy
        coef = inverse @ right
        quadratic = self._yy - self._zy @ g @ wzy - right @ coef
        logs = np.linalg.slogdet(middle)[1] + np.linalg.slogdet(wxx)[1]
        s = wzz - wzx @ inverse @ wzx.T
        u = wzy - wzx @ coef
        return State(
            theta,
            first,
            second,
            coef,
            inverse,
            wzx,
            (s + s.T) / 2.0,
            u,
            float(logs),
            float(quadratic),
            self._freedom,
        )

    def minimum(self) -> tuple[State, bool]:
        """The state of the lowest deviance, variances of zero included, and if it is stationary."""
        if self.n_parameters == 1:
            states = self._one_parameter()
        else:
            starts = [self.at(self._start(s)) for s in self._scales()]
            starts.sort(key=lambda state: state.deviance)
            states = [self._descend(state.theta) for state in starts[:3]]
        best = min(states, key=lambda state: state.deviance)
        return best, bool(np.abs(best.gradient).max() < _GRADIENT)

    def _one_parameter(self) -> list[State]:
        """Zero and every stationary minimum between the brackets."""

        def slope(theta: float) -> float:
            return float(self.at(np.array([theta])).gradient[0])

        slopes = [slope(theta) for theta in _ONE_PARAMETER]
        states = [self.at(np.zeros(1))]
        for i, (left, right) in enumerate(itertools.pairwise(slopes)):
            if left < 0.0 <= right:
                low, high = _ONE_PARAMETER[i : i + 2]
                root = optimize.brentq(slope, low, high, xtol=1e-15, rtol=1e-14)
                states.append(self.at(np.array([root])))
        if slopes[-1] < 0.0:  # still falling: the end of the bracket, not stationary
            states.append(self.at(_ONE_PARAMETER[-1:]))
        return states

    def _scales(self) -> list[tuple[float, ...]]:
        return list(itertools.product(_STARTS, repeat=len(self.terms)))

    def _start(self, scales: Sequence[float]) -> np.ndarray:
        parts = [
            [scale * (i == j) for i, j in term.entries]
            for scale, term in zip(scales, self.terms, strict=True)
        ]
        return np.array([value for part in parts for value in part])

    def _descend(self, theta: np.ndarray) -> State:
        found = optimize.minimize(
            lambda t: self.at(t).deviance,
            theta,
            method="trust-exact",
            jac=lambda t: self.at(t).gradient,
            hess=lambda t: self.at(t).hessian,
            options={"gtol": 1e-8, "maxiter": 200},
        )
        state = self.at(found.x)
        for _ in range(5):  # below the resolution of the deviance Newton's steps still gain
            step = np.linalg.pinv(state.hessian, rcond=1e-10) @ state.gradient
            following = self.at(state.theta - step)
            if np.abs(following.gradient).max() >= np.abs(state.gradient).max():
                break
            state = following
        return self.at(self._canonical(state.theta))

    def _canonical(self, theta: np.ndarray) -> np.ndarray:
        """Columns of L with the sign that makes the diagonal positive."""
        parts = []
        for term, own in zip(self.terms, self.split(theta), strict=True):
            factor = term.factor(own)
            factor = factor * np.where(np.diag(factor) < 0.0, -1.0, 1.0)
            parts += [factor[entry] for entry in term.entries]
        return np.array(parts)

    def _covariance(
        self, theta: np.ndarray
    ) -> tuple[np.ndarray, list[np.ndarray], dict[tuple[int, int], np.ndarray]]:
        """G = blocks of L L^T, dG / dtheta_i, and d2G / dtheta_i dtheta_j for i <= j."""
        q = sum(self._widths)
        g = np.zeros((q, q))
        first: list[np.ndarray] = []
        second: dict[tuple[int, int], np.ndarray] = {}
        start = 0
        for term, own, width in zip(self.terms, self.split(theta), self._widths, strict=True):
            here = slice(start, start + width)
            factor = term.factor(own)
            units = [np.zeros_like(factor) for _ in own]
            for unit, entry in zip(units, term.entries, strict=True):
                unit[entry] = 1.0

            def placed(
                block: np.ndarray, term: RandomTerm = term, here: slice = here
            ) -> np.ndarray:
                whole = np.zeros((q, q))
                whole[here, here] = term.repeated(block)
                return whole

            g += placed(factor @ factor.T)
            offset = len(first)
            for i, a in enumerate(units):
                for j, b in enumerate(units[i:], i):
                    second[offset + i, offset + j] = placed(a @ b.T + b @ a.T)
            first += [placed(a @ factor.T + factor @ a.T) for a in units]
            start += width
        for i, j in itertools.combinations(range(len(first)), 2):
            second.setdefault((i, j), np.zeros((q, q)))
        return g, first, second
