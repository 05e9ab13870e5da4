"""Fréchet distance between two sets of feature vectors: FID, FD-DINOv2 and their relatives.

Heusel et al. 2017 (arXiv 1706.08500), Eq. 6, with the sample covariance (ddof = 1) that
torch-fidelity and dgm-eval use. The features decide the metric's name, not this file.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from pcpo.metrics import as_rows

BLOCK = 2**23  # numbers in a block of rows: 64 MiB in float64


def frechet_distance(x: ArrayLike, y: ArrayLike) -> float:
    """Return |mu_x - mu_y|^2 + tr(C_x) + tr(C_y) - 2 tr((C_x C_y)^(1/2)).

    `x` is (N, d) and `y` (M, d), any real dtype; the arithmetic is float64. With F the centred
    features over sqrt(N - 1), C = F^T F, and the non-zero eigenvalues of C_x C_y are the squared
    singular values of G = F_x F_y^T. The trace of the root is therefore the nuclear norm of G:
    exact for N < d too, where a matrix square root of the singular d x d product is neither fast
    nor exact. Where N > d the R of F's QR decomposition replaces F, so that G is at most d x d.

    Rows are read in blocks, and R is updated by each, so memory does not grow with N: `x` and `y`
    may be arrays on disk that give rows for a slice. (The covariance is never formed: its
    eigenvalues would be known to 1e-16 of the largest only, their roots to 1e-8.)

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
    mean_x, mean_y = _mean(x, "x"), _mean(y, "y")
    shift = mean_x - mean_y
    root_x, root_y = _covariance_root(x, mean_x), _covariance_root(y, mean_y)
    trace_of_root = linalg.svdvals(root_x @ root_y.T).sum()
    distance = shift @ shift + np.sum(root_x**2) + np.sum(root_y**2) - 2.0 * trace_of_root
    return max(0.0, float(distance))


metric = frechet_distance  # the tables' distance: a policy's images to the base model's


def _blocks(x: np.ndarray) -> Iterator[np.ndarray]:
    """Blocks of rows in float64, each of at least 2 d rows but for the last."""
    count, dimensions = x.shape
    rows = max(BLOCK // dimensions, 2 * dimensions)
    for start in range(0, count, rows):
        yield np.asarray(x[start : start + rows], dtype=np.float64)


def _mean(x: np.ndarray, name: str) -> np.ndarray:
    total = np.zeros(x.shape[1])
    for block in _blocks(x):
        if not np.isfinite(block).all():
            raise ValueError(f"frechet_distance: {name} contains NaN or infinite features")
        total += block.sum(axis=0)
    return total / len(x)


def _covariance_root(x: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """A matrix F of shape (min(N, d), d) with F^T F = the sample covariance of `x`."""
    root: np.ndarray = np.empty((0, x.shape[1]))
    for block in _blocks(x):
        root = np.concatenate([root, (block - mean) / np.sqrt(len(x) - 1)])
        if root.shape[0] > root.shape[1]:
            root = np.asarray(np.linalg.qr(root, mode="r"))
    return root


def _checked(features: ArrayLike, name: str) -> np.ndarray:
    rows = as_rows(features)
    if len(rows.shape) != 2 or rows.shape[1] == 0:
        raise ValueError(f"frechet_distance: {name} has shape {rows.shape}, expected (N, d)")
    if len(rows) < 2:
        raise ValueError(
            f"frechet_distance: {name} has {len(rows)} row(s); a covariance needs at least 2"
        )
    return rows
