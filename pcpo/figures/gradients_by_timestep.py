"""Not in the paper: gradient and clip fraction of each timestep, early and at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pcpo.config.gradients import measured_epochs
from pcpo.figures import style
from pcpo.figures.seed_bands import draw_band, seed_band
from pcpo.figures.timestep_credit import by_timestep
from pcpo.records import frames

_EPOCHS = 5  # of the clip fractions
TITLE = "The gradient of each timestep"
CAPTION = (
    "Early in the training (dashed) and at its end (solid). Upper five rows: images of an "
    "iteration are sampled from the checkpoint, and the loss is differentiated there, for one step "
    "at a time; the ratio is then one and nothing is clipped. They show the norm of the gradient, "
    "which is a mean over the images; mean and variance of its absolute value over the trained "
    "parameters; its squared norm over its variance between groups of images, where one is noise "
    "alone; and its cosine with the gradient of all steps together. Lowest row: clip fraction of "
    "the training, both sides, in the updates after the first of an epoch, over the "
    f"{_EPOCHS} epochs up to the checkpoint. The upper three axes are logarithmic. Noise is on the "
    "left; not smoothed. Checkpoints of Flow-GRPO hold a moving average of the weights, and its "
    "gradients are those at the average."
)
_ROWS = {
    "grad_norm": "norm",
    "gradient_abs_mean": "mean of |g|",
    "gradient_abs_var": "variance of |g|",
    "signal_to_noise": "signal to noise",
    "cosine": "cosine with\nthe whole",
}
_LOGARITHMIC = 3  # of these rows, from above
_CLIPPED = "clip fraction,\noff-policy"
_STYLES = ("--", "-")  # early, late


@style.draws(frames.GRADIENTS, frames.TIMESTEPS)
def gradients_by_timestep(
    gradients: pd.DataFrame,
    timesteps: pd.DataFrame,
    experiments: Sequence[Any],
    arms: Sequence[str] = ("baseline", "matching", "pcpo"),
) -> Figure:
    """One column per experiment: five statistics of the gradient, and the clip fraction.

    Lines are means over seeds, bands run from the lowest to the highest seed.
    """
    columns = max(1, len(experiments))
    figure, axes = style.panels(len(_ROWS) + 1, columns, width=3.4, height=1.45, sharex="col")
    for column, experiment in enumerate(experiments):
        *upper, lowest = axes[:, column]
        upper[0].set_title(style.title(experiment, style.letters(experiments)[column]))
        own = gradients[gradients["experiment"] == experiment.name]
        own = own[own["step"] != frames.WHOLE]
        clipped = timesteps[timesteps["experiment"] == experiment.name]
        clipped = clipped[clipped["update"] > 1]
        for arm in arms:
            rows, trained = own[own["arm"] == arm], clipped[clipped["arm"] == arm]
            epochs = shown_epochs(rows["epoch"])
            for epoch, line in zip(epochs, _STYLES[2 - len(epochs) :], strict=True):
                at = rows[rows["epoch"] == epoch]
                for panel, name in zip(upper, _ROWS, strict=True):
                    _draw(panel, at, name, arm, line)
                last = max(epoch, _EPOCHS)
                near = trained[trained["epoch"].between(last - _EPOCHS + 1, last)]
                _draw(lowest, by_timestep(near), "clip_fraction", arm, line)
        _finish(upper, lowest)
    for panel, label in zip(axes[:, 0], [*_ROWS.values(), _CLIPPED], strict=True):
        panel.set_ylabel(label)
    lines = (
        Line2D([], [], color="0.3", linestyle="--", label="early"),
        Line2D([], [], color="0.3", linestyle="-", label="at the end"),
    )
    style.legend_below(figure, axes.flat, extra=lines)
    return figure


def remark(experiments: Sequence[Any]) -> str:
    """The checkpoints of each configuration, for the caption."""
    shown = {
        e.number: " and ".join(map(str, shown_epochs(measured_epochs(e))))
        for e in experiments
        if e.gradients is not None
    }
    return "; ".join(f"checkpoints of configuration {n}: epochs {e}" for n, e in shown.items())


def shown_epochs(measured: Sequence[int] | pd.Series) -> list[int]:
    """An early and the last one of the measured epochs; early is the first after the base model."""
    epochs = sorted({int(epoch) for epoch in measured})
    return [epochs[min(1, len(epochs) - 2)], epochs[-1]] if len(epochs) > 1 else epochs


def _draw(panel: Axes, rows: pd.DataFrame, column: str, arm: str, line: str) -> None:
    band = seed_band(rows, column, "timestep") if len(rows) else rows
    if len(band):
        label = style.LABELS.get(arm, arm) if line == _STYLES[-1] else None
        draw_band(panel, band, arm, line, label=label)


def _finish(upper: Sequence[Axes], lowest: Axes) -> None:
    """Axes of a column; "no data" in the panels without a line."""
    for panel in (*upper, lowest):
        if not panel.lines:
            style.no_data(panel)
    for panel in upper[:_LOGARITHMIC]:
        if any(np.any(np.asarray(line.get_ydata()) > 0) for line in panel.lines):
            style.logarithmic(panel)
    if lowest.lines:
        style.from_zero(lowest)
    if any(panel.lines for panel in (*upper, lowest)):
        lowest.invert_xaxis()  # sampling order; the column shares the axis
    lowest.set_xlabel("timestep")
