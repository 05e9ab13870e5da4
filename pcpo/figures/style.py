"""One look for all figures, readable in print and for colour-blind people, and how to save.

Every arm has a colour and a marker of its own, so lines can be distinguished without colour. The
colours have a contrast of at least 3:1 on white. Colours in one figure differ for normal,
protanopic, deuteranopic and tritanopic sight (tests/figures/test_style.py).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike
from PIL import Image

from pcpo.paths import FIGURE_SUFFIXES
from pcpo.records import frame_file, frames
from pcpo.records.replace import new_files
from pcpo.stats.speedup import WINDOW
from pcpo.tables.labels import ALGORITHMS, ARMS, MODELS, REWARDS

# The order of the paper's Figure 6: baseline blue, objective green, matching red, PCPO orange.
COLOURS = {
    "base": "#6E6E6E",
    "baseline": "#0067A8",
    "log_hinge": "#1E9E6A",
    "matching": "#6B0F3A",
    "pcpo": "#D55E00",
    "pcpo_exact": "#0C1560",
    "reweight": "#6C0EBE",
    "variance_only": "#543807",
    "lambda": "#977F9E",
    "drop_largest": "#F443EC",
    "inverse_square": "#5200F8",
    "baseline_fp32": "#003A5E",
    "log_hinge_fp32": "#0B5A3C",
    "uniform": "#3F1F4F",
    "half_timesteps": "#000000",
}
MARKERS = {
    "base": "x",
    "baseline": "o",
    "log_hinge": "s",
    "matching": "^",
    "pcpo": "D",
    "pcpo_exact": "h",
    "reweight": "P",
    "variance_only": "<",
    "lambda": ">",
    "drop_largest": "d",
    "inverse_square": "*",
    "baseline_fp32": "p",
    "log_hinge_fp32": "H",
    "uniform": "v",
    "half_timesteps": "X",
}
# Position of an arm's first mark, as a share of the distance between marks in parts of `_PARTS`.
_PARTS = 9
_MARK_PART = {"log_hinge": 1, "matching": 2, "pcpo": 3, "reweight": 4, "pcpo_exact": 5} | {
    "variance_only": 1, "lambda": 6, "drop_largest": 7, "inverse_square": 8, "baseline_fp32": 5,
    "log_hinge_fp32": 6, "uniform": 1, "half_timesteps": 1,
}  # fmt: skip
LABELS = ARMS

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
    "lines.linewidth": 1.3,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,
    "svg.hashsalt": "pcpo",
}


@contextmanager
def _look() -> Iterator[None]:
    """Draw with these settings and matplotlib's own, without the user's matplotlibrc."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


# For captions of figures with clip fractions.
AUTHORS_COUNT = (
    "the clip fraction as the authors' code counts it, on either side where an arm computes a "
    "ratio, and where it matches predictions (PCPO) only the terms whose gradient is off, one "
    "side: the arms do not compare there."
)


def panels(
    rows: int, columns: int, width: float | None = None, height: float = 1.9, **options: Any
) -> tuple[Figure, np.ndarray]:
    """A figure of `rows` x `columns` axes, (figure, axes (rows, columns)); sizes in inches a panel.

    Without `width` the figure is at most a page's text width of 7.2 inches, so it is not shrunk in
    print. The figure belongs to no pyplot state: nothing has to be closed, no display is needed.
    """
    width = width or min(2.9, 7.2 / columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def draws(*specs: frames.FrameSpec) -> Callable[[Callable[..., Figure]], Callable[..., Figure]]:
    """Decorator of a function whose first arguments are the frames of `specs`, its `frames`.

    It checks them (ValueError names figure, frame and column), draws in this style, and restores
    matplotlib's settings.
    """

    def decorate(draw: Callable[..., Figure]) -> Callable[..., Figure]:
        name = draw.__name__

        @functools.wraps(draw)
        def wrapped(*args: Any, **kwargs: Any) -> Figure:
            for frame, spec in zip(args, specs, strict=False):
                frame_file.check(frame, spec, f"figure {name}")
            with _look():
                return draw(*args, **kwargs)

        wrapped.frames = specs  # type: ignore[attr-defined]
        return wrapped

    return decorate


def colour(arm: str) -> str:
    """The colour of an arm; grey for an arm that `COLOURS` does not have."""
    return COLOURS.get(arm, "#666666")


def look(arm: str, points: int = 0) -> dict[str, Any]:
    """Keywords of `Axes.plot` for an arm's line: its colour and its marker.

    `points` is the length of the line. Two points are marked. With enough points, arms of one
    figure have their marks at different points.
    """
    step = max(1, -(-points // 2))
    return {
        "color": colour(arm),
        "marker": MARKERS.get(arm, "."),
        "markevery": (step * _MARK_PART.get(arm, 0) // _PARTS, step),
    }


def legend_below(figure: Figure, axes: Iterable[Axes], extra: Sequence[Artist] = ()) -> None:
    """One legend under the figure, with each label of the panels once."""
    entries: dict[str, Artist] = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    entries |= {str(handle.get_label()): handle for handle in extra}
    if entries:
        columns = min(len(entries), max(2, round(figure.get_figwidth() / 1.6)))
        figure.legend([*entries.values()], [*entries], loc="outside lower center", ncols=columns)


def from_zero(axes: Axes) -> None:
    """Start the vertical axis a little below zero, so that a line at zero is visible."""
    top = max(float(np.nanmax(line.get_ydata(), initial=0.0)) for line in axes.get_lines())
    if top == 0.0:
        note(axes, "all are 0")
    axes.set_ylim(-0.05 * (top or 0.1), 1.08 * (top or 0.1))


def epochs(*panels: Axes) -> None:
    """Label the horizontal axis as epochs, which are whole numbers."""
    for axes in panels:
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=2))


def logarithmic(axes: Axes) -> None:
    """A logarithmic vertical axis whose few labels do not overlap."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=6))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def smooth(values: ArrayLike, window: int = WINDOW) -> np.ndarray:
    """Centred moving average for plots; at the ends, the average of the available epochs.

    Decisions use `pcpo.stats.speedup.trailing_mean`, which uses no later epoch.
    """
    series = np.asarray(values, dtype=np.float64)
    kernel = np.ones(min(window, 2 * len(series) - 1))
    counts = np.convolve(np.ones(len(series)), kernel, mode="full")
    sums = np.convolve(series, kernel, mode="full")
    start = (len(kernel) - 1) // 2
    return (sums / counts)[start : start + len(series)]


def title(experiment: Any, letter: str = "") -> str:
    """Framework and model, e.g. (a) DDPO (SD1.5), and the reward on a second line.

    The reward of an experiment that is not the paper's has its own name.
    """
    algorithm = ALGORITHMS.get(experiment.algorithm, experiment.algorithm)
    model = MODELS.get(experiment.model, experiment.model)
    lettered = f"({letter}) " if letter else ""
    own = getattr(experiment, "reward", None)
    reward = REWARDS.get(experiment.number) or (own.name if own else "")
    return f"{lettered}{algorithm} ({model})\n{reward}".rstrip()


def letters(experiments: Sequence[Any], start: int = 0) -> list[str]:
    """a, b, c, ... for the columns of a figure; none for a single column."""
    return [chr(97 + start + i) if len(experiments) > 1 else "" for i in range(len(experiments))]


def no_data(*panels: Axes) -> None:
    """Write in the panels that there is nothing to draw."""
    for axes in panels:
        note(axes, "no data")
        axes.set_yticks([])


def note(axes: Axes, text: str) -> None:
    """Write a text in a panel, above its middle."""
    axes.text(0.5, 0.7, text, transform=axes.transAxes, ha="center", color="0.4")


def save(
    figure: Figure, path_without_suffix: str | Path, kinds: Sequence[str] = FIGURE_SUFFIXES
) -> list[Path]:
    """Write <path>.pdf, .png and .svg; the same figure gives the same bytes (no dates inside)."""
    prefix = Path(path_without_suffix)
    undated: dict[str, dict[str, Any]] = {
        "pdf": {"CreationDate": None},
        "png": {"Software": None},
        "svg": {"Date": None},
    }
    paths = [prefix.with_name(f"{prefix.name}.{kind}") for kind in kinds]
    with _look(), new_files(paths) as parts:
        _settle(figure)
        for kind, part in zip(kinds, parts, strict=True):
            figure.savefig(part, format=kind, metadata=undated[kind])
            if kind == "png":
                _without_alpha(part)
    return paths


def _settle(figure: Figure) -> None:
    """Lay the figure out, once, and round all positions to a millionth of its size.

    The last bits of what the layout's solver finds depend on addresses in memory. They enter the
    names of clip paths and, now and then, a coordinate's last digit.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    within: list[Any] = list(figure.subfigs)
    while within:
        part = within.pop()
        part.bbox_relative.set_points(part.bbox_relative.get_points().round(6))
        within += part.subfigs
    for axes in figure.axes:
        axes.set_position(np.round(axes.get_position(original=True).bounds, 6))


def _without_alpha(path: Path) -> None:
    """Write a PNG again without its channel of transparency, which says nothing: it is smaller."""
    with Image.open(path) as image:
        image.convert("RGB").save(path, "png", optimize=True, dpi=image.info["dpi"])
