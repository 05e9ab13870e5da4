"""Inception Score of Salimans et al. 2016 (arXiv 1606.03498), as torch-fidelity computes it.

The paper treats it as a value to be minimised (IS*, Sec. 3.2): at a matched reward a high score
comes from confident, little varied images.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import rel_entr, softmax

from pcpo.metrics import as_rows

FEWEST = 100  # images in a split; the paper's prompts have 1,112 images, 111 in each of ten
BLOCK = 2**23  # numbers in a block of rows: 64 MiB in float64


def inception_score(logits: ArrayLike, splits: int = 10, seed: int = 2020) -> tuple[float, float]:
    """Return mean and standard deviation (ddof = 0) over `splits` of exp(E_x KL(p(y|x) || p(y))).

    `logits` is (N, classes): unnormalised log-probabilities, or log-probabilities. The rows are
    shuffled with `seed` and cut at i * N // splits, as in torch-fidelity's `isc_features_to_metric`
    (whose logits are Inception's without the bias); the arithmetic is float64. The score is biased
    low where a split holds few images, so compare it at equal N and equal `splits` only. Rows are
    read in blocks: `logits` may be an array on disk that gives rows for an array of their numbers.

    Raises ValueError on NaN or +inf, on fewer than two classes, and on fewer images than splits.
    """
    rows = as_rows(logits)
    if len(rows.shape) != 2 or rows.shape[1] < 2:
        raise ValueError(f"inception_score: logits have shape {rows.shape}, expected (N, classes)")
    n = len(rows)
    if splits < 1 or n < max(splits, 2):
        raise ValueError(
            f"inception_score: {n} image(s) in {splits} splits; "
            "use at least 2 images and no more splits than images"
        )
    order = np.random.RandomState(seed).permutation(n)
    scores = []
    for i in range(splits):
        part = order[i * n // splits : (i + 1) * n // splits]
        marginal = np.zeros(rows.shape[1])
        for conditional in _probabilities(rows, part):
            marginal += conditional.sum(axis=0)
        marginal /= len(part)
        divergence = [rel_entr(p, marginal).sum(axis=1) for p in _probabilities(rows, part)]
        scores.append(np.exp(np.concatenate(divergence).mean()))
    return float(np.mean(scores)), float(np.std(scores))


def metric(own: ArrayLike, base: ArrayLike) -> float:
    """The tables' score: ten splits as published, fewer where one would hold fewer than `FEWEST`
    images; so one below 200. The base model's images do not enter.
    """
    return inception_score(own, splits=max(1, min(10, len(as_rows(own)) // FEWEST)))[0]


def _probabilities(logits: np.ndarray, which: np.ndarray) -> Iterator[np.ndarray]:
    """p(y|x) of the rows `which`, in blocks (B, classes) of float64."""
    size = max(1, BLOCK // logits.shape[1])
    for start in range(0, len(which), size):
        block = np.asarray(logits[which[start : start + size]], dtype=np.float64)
        # -inf is a probability of zero and harmless; a row of nothing else has no distribution.
        # The maximum of a row with a NaN is NaN.
        if not np.isfinite(block.max(axis=1)).all():
            raise ValueError("inception_score: logits contain NaN, +inf or a row of -inf")
        yield softmax(block, axis=1)
