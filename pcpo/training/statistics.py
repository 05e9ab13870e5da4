"""Statistics of an update: columns of `frames.UPDATES` and rows of `frames.TIMESTEPS`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pcpo.objectives import clipped_terms
from pcpo.training.clip_range import ClipRange

QUANTILES = (0, 1, 5, 25, 50, 75, 95, 99, 100)  # of the log-ratios, in percent


def update_statistics(terms: Mapping[str, Tensor]) -> dict[str, float]:
    """Means of the terms of an update over all processes, and statistics of its log-ratios.

    terms: on the CPU; `log_ratio` is `(processes, forwards, B)`, others `(processes, forwards)`.
    """
    means = {
        key: float(terms[key].double().mean())
        for key in ("loss", "kl", "clip_fraction", "gated_fraction")
    }
    ratios = _flat(terms["log_ratio"].double())
    quantiles = np.quantile(ratios, np.asarray(QUANTILES) / 100)
    return {
        **means,
        "log_ratio_mean": float(ratios.mean()),
        "log_ratio_std": float(ratios.std()),
        "ratio_mean": float(np.exp(ratios).mean()),
        "ratio_std": float(np.exp(ratios).std()),
        **{f"log_ratio_q{q:02d}": float(v) for q, v in zip(QUANTILES, quantiles, strict=True)},
    }


def step_statistics(
    terms: Mapping[str, Tensor], clip_range: ClipRange, timesteps: Tensor
) -> list[dict[str, float]]:
    """A row for each sampler step that the update trained.

    terms: `log_ratio`, `sign` (of the advantage) and `step`, each `(processes, forwards, B)`.
    timesteps: of the sampler, `(T,)`. The fractions are those of `objectives.Objective`.
    """
    log_ratio = terms["log_ratio"].double()
    bounds = clip_range.bounds(terms["step"], log_ratio.dtype)
    clipped, gated = map(_flat, clipped_terms(log_ratio, terms["sign"], bounds))
    ratios, steps = _flat(log_ratio), _flat(terms["step"])
    rows = []
    for step in np.unique(steps):
        at_step = steps == step
        own = ratios[at_step]
        rows.append(
            {
                "terms": len(own),
                "log_ratio_mean": float(own.mean()),
                "log_ratio_std": float(own.std()),
                "clip_fraction": float(clipped[at_step].mean()),
                "gated_fraction": float(gated[at_step].mean()),
                "step": int(step),
                "timestep": float(timesteps[step]),
            }
        )
    return rows


def _flat(values: Tensor) -> NDArray[Any]:
    return values.flatten().numpy()
