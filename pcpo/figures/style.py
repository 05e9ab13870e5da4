"""One look for all figures: Okabe-Ito colours (colour-blind safe), sizes, and how to save."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from pcpo.tables.labels import ALGORITHMS, MODELS, REWARDS

# The hues of the paper's Figure 6: baseline blue, objective green, matching red, PCPO orange.
COLOURS = {
    "base": "#999999",
    "baseline": "#0072B2",
    "log_hinge": "#009E73",
    "matching": "#CC79A7",
    "pcpo": "#D55E00",
    "reweight": "#E69F00",
    "uniform": "#56B4E9",
    "half_timesteps": "#000000",
    "inverse_square": "#F0E442",
}
LABELS = {
    "base": "Base model",
    "baseline": "Baseline",
    "log_hinge": "+ log-hinge",
    "matching": "+ matching",
    "pcpo": "PCPO",
    "reweight": "PCPO, native sampler",
    "uniform": "uniform weights",
    "half_timesteps": "half of the timesteps",
    "inverse_square": "PCPO, inverse-square weights",
}
WINDOW = 5  # epochs, Appendix B.3.4

_RC: dict[Any, Any] = {
    "figure.dpi": 110,
    "savefig.dpi": 200,
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "pdf.fonttype": 42,
    "svg.hashsalt": "pcpo",
}


def panels(
    rows: int, columns: int, width: float = 2.4, height: float = 2.0, **options: Any
) -> tuple[Figure, np.ndarray]:
    """A figure of `rows` x `columns` axes, (figure, axes (rows, columns)); sizes in inches a panel.

    The figure belongs to no pyplot state: nothing has to be closed, no display is needed.
    """
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Decorator: `draw` works under this style, and leaves matplotlib's settings as they were."""

    @functools.wraps(draw)
    def wrapped(*args: Any, **kwargs: Any) -> Figure:
        with matplotlib.rc_context(_RC):
            return draw(*args, **kwargs)

    return wrapped


def legend_below(figure: Figure, axes: Iterable[Axes], extra: Sequence[Artist] = ()) -> None:
    """One legend under the figure, each label once, from whatever the panels have drawn."""
    entries: dict[str, Artist] = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    entries |= {str(handle.get_label()): handle for handle in extra}
    if entries:
        columns = min(len(entries), max(3, round(figure.get_figwidth() / 1.6)))
        figure.legend([*entries.values()], [*entries], loc="outside lower center", ncols=columns)


def from_zero(axes: Axes) -> None:
    """Start the vertical axis a little below zero, so that a line at zero is seen."""
    top = axes.get_ylim()[1]
    axes.set_ylim(-0.03 * top, top)


def smooth(values: ArrayLike, window: int = WINDOW) -> np.ndarray:
    """Centred moving average for plots; the ends average the epochs that there are.

    Decisions use `pcpo.stats.speedup.trailing_mean`, which looks at no later epoch.
    """
    series = np.asarray(values, dtype=np.float64)
    kernel = np.ones(min(window, 2 * len(series) - 1))
    counts = np.convolve(np.ones(len(series)), kernel, mode="full")
    sums = np.convolve(series, kernel, mode="full")
    start = (len(kernel) - 1) // 2
    return (sums / counts)[start : start + len(series)]


def title(experiment: Any) -> str:
    """Framework and model, e.g. DDPO (SD1.5), and the reward on a second line."""
    algorithm = ALGORITHMS.get(experiment.algorithm, experiment.algorithm)
    model = MODELS.get(experiment.model, experiment.model)
    return f"{algorithm} ({model})\n{REWARDS.get(experiment.number, '')}".rstrip()


def no_data(*panels: Axes) -> None:
    """Say in the panels that there is nothing to draw, instead of leaving them empty."""
    for axes in panels:
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", color="0.5")
        axes.set_yticks([])


def save(figure: Figure, path_without_suffix: str | Path) -> list[Path]:
    """Write <path>.pdf and <path>.png; the same figure gives the same bytes (no dates inside)."""
    prefix = Path(path_without_suffix)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    paths = []
    with matplotlib.rc_context(_RC):
        for kind, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
            path = prefix.with_name(f"{prefix.name}.{kind}")
            part = path.with_name(path.name + ".part")
            figure.savefig(part, format=kind, metadata=metadata)
            paths.append((part, path))
    for part, path in paths:
        os.replace(part, path)
    return [path for _, path in paths]
