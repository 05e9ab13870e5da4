"""Inception Score of Salimans et al. 2016 (arXiv 1606.03498), as torch-fidelity computes it.

The paper treats it as a value to be minimised (IS*, Sec. 3.2): at a matched reward a high score
comes from confident, little varied images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import rel_entr, softmax


def inception_score(logits: ArrayLike, splits: int = 10, seed: int = 2020) -> tuple[float, float]:
    """Return mean and standard deviation (ddof = 0) over `splits` of exp(E_x KL(p(y|x) || p(y))).

    `logits` is (N, classes): unnormalised log-probabilities, or log-probabilities. The rows are
    shuffled with `seed` and cut at i * N // splits, as in torch-fidelity's `isc_features_to_metric`
    (whose logits are Inception's without the bias); the arithmetic is float64. The score is biased
    low where a split holds few images, so compare it at equal N and equal `splits` only.

    Raises ValueError on NaN or +inf, on fewer than two classes, and on fewer images than splits.
    """
    logits = np.asarray(logits, dtype=np.float64)
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise ValueError(
            f"inception_score: logits have shape {logits.shape}, expected (N, classes)"
        )
    if splits < 1 or len(logits) < max(splits, 2):
        raise ValueError(
            f"inception_score: {len(logits)} image(s) in {splits} splits; "
            "use at least 2 images and no more splits than images"
        )
    # -inf is a probability of zero and harmless; a row of nothing else has no distribution.
    if np.isnan(logits).any() or not np.isfinite(logits.max(axis=1)).all():
        raise ValueError("inception_score: logits contain NaN, +inf or a row of -inf")

    n = len(logits)
    shuffled = logits[np.random.RandomState(seed).permutation(n)]
    conditional = softmax(shuffled, axis=1)
    scores = []
    for i in range(splits):
        part = conditional[i * n // splits : (i + 1) * n // splits]
        divergence = rel_entr(part, part.mean(axis=0)).sum(axis=1)
        scores.append(np.exp(divergence.mean()))
    return float(np.mean(scores)), float(np.std(scores))
