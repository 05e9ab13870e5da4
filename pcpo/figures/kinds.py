"""The kinds of figures by name: what draws them, from which frames, and their captions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from pcpo.figures import (
    ablation,
    credit_ablation,
    credit_weights,
    gradient_statistics,
    heuristics,
    ratio_distribution,
    sample_grid,
    timestep_credit,
    training_curves,
    validation_and_kl,
)
from pcpo.records import frames


class Kind(NamedTuple):
    """`draw(*frames, experiments, arms=...)`, but for a grid of images, which has no frames.

    `phases`: whether it shows phases of training, whose exceptions the caption names.
    """

    draw: Callable[..., Figure]
    frames: tuple[frames.FrameSpec, ...]
    title: str
    caption: str
    remark: Callable[[Sequence[Any]], str]  # a sentence on these experiments, or ""
    phases: bool = False


_UPDATES = (frames.UPDATES,)
_MODULES = {
    "training_curves": (training_curves, _UPDATES),
    "ablation": (ablation, _UPDATES),
    "credit_ablation": (credit_ablation, _UPDATES),
    "heuristics": (heuristics, _UPDATES),
    "ratio_distribution": (ratio_distribution, _UPDATES),
    "gradient_statistics": (gradient_statistics, _UPDATES),
    "validation_and_kl": (validation_and_kl, (frames.UPDATES, frames.VALIDATION)),
    "credit_weights": (credit_weights, (frames.READINGS,)),
    "timestep_credit": (timestep_credit, (frames.TIMESTEPS, frames.CREDIT)),
    "sample_grid": (sample_grid, ()),
}
_WITH_PHASES = ("ratio_distribution", "gradient_statistics")
KINDS = {
    name: Kind(
        getattr(module, name),
        specs,
        module.TITLE,
        module.CAPTION,
        getattr(module, "remark", lambda experiments: ""),
        name in _WITH_PHASES,
    )
    for name, (module, specs) in _MODULES.items()
}
