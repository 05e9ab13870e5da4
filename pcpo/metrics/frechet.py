"""Fréchet distance between two sets of feature vectors: FID, FD-DINOv2 and their relatives.

Heusel et al. 2017 (arXiv 1706.08500), Eq. 6, with the sample covariance (ddof = 1) that
torch-fidelity and dgm-eval use. The features decide the metric's name, not this file.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg


def frechet_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Return |mu_x - mu_y|^2 + tr(C_x) + tr(C_y) - 2 tr((C_x C_y)^(1/2)).

    `x` is (N, d) and `y` (M, d), any real dtype; the arithmetic is float64. With F the centred
    features over sqrt(N - 1), C = F^T F, and the non-zero eigenvalues of C_x C_y are the squared
    singular values of G = F_x F_y^T. The trace of the root is therefore the nuclear norm of G:
    exact for N < d too, where a matrix square root of the singular d x d product is neither fast
    nor exact. Where N > d the R of F's QR decomposition replaces F, so that G is at most d x d.

    The value is never negative: what rounding leaves below zero is returned as 0.
    Raises ValueError unless both arrays are finite, two-dimensional, with at least two rows and
    the same number of columns.
    """
    x, y = _checked(x, "x"), _checked(y, "y")
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"frechet_distance: x has {x.shape[1]} features and y has {y.shape[1]}; "
            "both sets must come from the same feature network"
        )
    shift = x.mean(axis=0) - y.mean(axis=0)
    root_x, root_y = _covariance_root(x), _covariance_root(y)
    trace_of_root = linalg.svdvals(root_x @ root_y.T).sum()
    distance = shift @ shift + np.sum(root_x**2) + np.sum(root_y**2) - 2.0 * trace_of_root
    return max(0.0, float(distance))


def _covariance_root(x: np.ndarray) -> np.ndarray:
    """A matrix F of shape (min(N, d), d) with F^T F = the sample covariance of `x`."""
    root = (x - x.mean(axis=0)) / np.sqrt(len(x) - 1)
    if root.shape[0] > root.shape[1]:
        root = np.linalg.qr(root, mode="r")
    return root


def _checked(features: ArrayLike, name: str) -> np.ndarray:
    features = np.asarray(features, dtype=np.float64)
    if features.ndim != 2 or features.shape[1] == 0:
        raise ValueError(f"frechet_distance: {name} has shape {features.shape}, expected (N, d)")
    if len(features) < 2:
        raise ValueError(
            f"frechet_distance: {name} has {len(features)} row(s); a covariance needs at least 2"
        )
    if not np.isfinite(features).all():
        raise ValueError(f"frechet_distance: {name} contains NaN or infinite features")
    return features
