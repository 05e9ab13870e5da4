"""Satterthwaite's degrees of freedom of a fixed effect, as lmerTest computes them.

For the variance C = c^T A c s^2 of a contrast, df = 2 C^2 / (g^T V g), where g is the gradient of
C in (theta, s) and V = 2 H^-1 the asymptotic covariance of (theta, s), with H the Hessian of the
deviance (Kuznetsova, Brockhoff & Christensen, J. Stat. Softw. 82(13), 2017). lmerTest
differentiates numerically; here the derivatives are exact.
"""

from __future__ import annotations

import numpy as np

from pcpo.stats.profiled import State

_FLAT = 1e-8  # eigenvalues of H below it count as zero (lmerTest's `tol`)


def satterthwaite_df(state: State, contrasts: np.ndarray) -> np.ndarray:
    """Degrees of freedom of each row of `contrasts` (k, p), at the optimum `state`.

    At a variance of zero the deviance and C are even in its theta, which then drops out: with all
    variances zero the result is n - p, as for ordinary least squares.
    """
    sigma = np.sqrt(state.variance)
    k = len(state.first)
    hessian = np.empty((k + 1, k + 1))
    hessian[:k, :k] = state.determinant_hessian + state.quadratic_hessian / state.variance
    hessian[:k, k] = hessian[k, :k] = -2.0 * state.quadratic_gradient / sigma**3
    hessian[k, k] = 4.0 * state.freedom / state.variance
    values, vectors = np.linalg.eigh(hessian)
    kept = values > _FLAT
    covariance = 2.0 * (vectors[:, kept] / values[kept]) @ vectors[:, kept].T

    inner = state.wzx @ state.inverse @ contrasts.T  # Z^T W^-1 X A c
    unscaled = np.einsum("kp,pq,kq->k", contrasts, state.inverse, contrasts)
    gradient = [state.variance * np.einsum("qk,qr,rk->k", inner, g, inner) for g in state.first]
    gradient.append(2.0 * sigma * unscaled)
    slopes = np.array(gradient)  # (theta and s, contrasts)
    spread = np.einsum("ik,ij,jk->k", slopes, covariance, slopes)
    return np.asarray(2.0 * (state.variance * unscaled) ** 2 / spread)
