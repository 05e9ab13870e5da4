"""LPIPS diversity over all pairs of images, in one pass.

LPIPS v0.1 (Zhang et al. 2018, arXiv 1801.03924) is a squared Euclidean distance between the
concatenated, channel-normalised and weighted feature maps v of two images, so that the mean over
all pairs is 2 / (N - 1) * sum_i |v_i - mean(v)|^2. No pair needs to be formed, none is left out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

BLOCK = 2**14  # columns that are taken to float64 at a time: they stay in the cache


def mean_pairwise_squared_distance(vectors: ArrayLike) -> float:
    """Return the mean over pairs i < j of |v_i - v_j|^2 for `vectors` (N, d), in float64.

    For scripts; the pipeline gives its batches to `PairwiseDistance`.
    Raises ValueError unless `vectors` is finite, two-dimensional and has at least two rows.
    """
    running = PairwiseDistance()
    running.update(vectors)
    return running.value()


class PairwiseDistance:
    """The same mean for vectors that come in batches and are too long to be kept (a streaming sum).

    Sums are taken relative to the first batch's mean: their difference then cancels few digits.
    """

    def __init__(self) -> None:
        self.count = 0
        self._origin: np.ndarray | None = None
        self._sum: np.ndarray | None = None
        self._sum_of_squares = 0.0

    def update(self, vectors: ArrayLike) -> None:
        """Add `vectors` (B, d). Raises ValueError on a wrong shape and on values not finite."""
        vectors = np.asarray(vectors)
        if vectors.ndim != 2 or 0 in vectors.shape:
            raise ValueError(f"diversity: vectors have shape {vectors.shape}, expected (N, d)")
        if self._origin is None or self._sum is None:
            self._origin = vectors.mean(axis=0, dtype=np.float64)
            self._sum = np.zeros_like(self._origin)
        if vectors.shape[1] != len(self._origin):
            raise ValueError(
                f"diversity: vectors of length {vectors.shape[1]} after vectors of length "
                f"{len(self._origin)}; all images must have the same size"
            )
        for start in range(0, vectors.shape[1], BLOCK):
            columns = slice(start, start + BLOCK)
            centred = vectors[:, columns].astype(np.float64) - self._origin[columns]
            self._sum[columns] += centred.sum(axis=0)
            self._sum_of_squares += float(np.einsum("nd,nd->", centred, centred))
        if not np.isfinite(self._sum_of_squares):
            raise ValueError("diversity: vectors contain NaN or infinite values")
        self.count += len(vectors)

    def value(self) -> float:
        """Mean over all pairs so far. Raises ValueError with fewer than two vectors."""
        if self.count < 2 or self._sum is None:
            raise ValueError(f"diversity: {self.count} vector(s); a pair needs at least 2")
        scatter = self._sum_of_squares - float(self._sum @ self._sum) / self.count
        return max(0.0, 2.0 * scatter / (self.count - 1))


Running = PairwiseDistance  # in the tables: the variety of a prompt's images
