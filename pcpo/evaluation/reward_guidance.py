"""Implicit Reward Guidance, appendix F of the paper: samples between a base model and aligned ones.

Every step takes one mixed prediction for all of its parts,

    eps = eps_ref + sum_k s_k (eps_k - eps_ref)

eps_ref of the base model and eps_k of aligned model k, for flow models the velocities alike.
Classifier-free guidance stays inside each prediction. Strengths of 0 give the base model's images,
a strength of 1 of one model that model's, bit for bit: predictions with a factor of 0 are not made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from pcpo.trajectory import Predict

if TYPE_CHECKING:
    from pcpo.evaluation.checkpoints import Checkpoints
    from pcpo.policies.embeddings import Conditioning


def mixed(base: Predict, aligned: Sequence[Predict], strengths: Sequence[float]) -> Predict:
    """The mixed prediction, `(B, ...)` fp32; strengths: one of each aligned model.

    Raises ValueError for another number of strengths, and for one that is not finite.
    """
    if len(strengths) != len(aligned):
        raise ValueError(f"{len(strengths)} strengths for {len(aligned)} aligned models")
    if not all(map(math.isfinite, strengths)):
        raise ValueError(f"strengths are finite numbers, not {', '.join(map(str, strengths))}")
    factors = [1 - math.fsum(strengths), *strengths]
    parts = [(f, p) for f, p in zip(factors, (base, *aligned), strict=True) if f != 0]

    def predict(latents: Tensor, timesteps: Tensor) -> Tensor:
        first, *others = (factor * model(latents, timesteps) for factor, model in parts)
        for other in others:
            first = first + other
        return first

    return predict


def guided(
    checkpoints: Checkpoints, strengths: Sequence[float]
) -> Callable[[Conditioning, float], Predict]:
    """What `pcpo.evaluation.generation.generate` takes as `conditioned`."""

    def conditioned(conditioning: Conditioning, guidance_scale: float) -> Predict:
        base, *aligned = (
            checkpoints.conditioned(place, conditioning, guidance_scale)
            for place in (None, *range(checkpoints.count))
        )
        return mixed(base, aligned, strengths)

    return conditioned
