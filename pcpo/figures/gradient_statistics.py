"""Figure 11: size and spread of the first layer's gradient, from scratch and near the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pcpo.analysis.phases import NEAR, Runs, find_phases, split
from pcpo.compared import COMPARED
from pcpo.figures import style
from pcpo.records import frames

TITLE = "Gradient of the first layer"
PHASES = True  # the caption names runs with other phases
CAPTION = (
    "Mean (above) and variance (below) of the absolute gradient over the denoiser's first trained "
    f"layer, before the gradient is clipped: from scratch, and {NEAR}. (The paper trains on from "
    "checkpoints at target reward levels.) Small marks: one epoch of one seed, mean over its "
    "updates; large marks: their mean. Logarithmic axes; not smoothed. "
    "Arms differ in their objective and weights, and so in the scale of their gradient: the change "
    "from the first phase to the second is what compares."
)


@style.draws(frames.UPDATES)
def gradient_statistics(
    updates: pd.DataFrame, experiments: Sequence[Any], arms: Sequence[str] = COMPARED
) -> Figure:
    """One column per experiment; mean of |g| above, variance of |g| below, in two phases."""
    figure, axes = style.panels(2, max(1, len(experiments)), width=2.9, height=2.0)
    shown = ("gradient_abs_mean", "gradient_abs_var")
    keys = ["experiment", "arm", "seed", "epoch"]
    epochs = updates.groupby(keys, as_index=False)[list(shown)].mean()
    for column, experiment in enumerate(experiments):
        axes[0, column].set_title(style.title(experiment, style.letters(experiments)[column]))
        rows = epochs[epochs["experiment"] == experiment.name]
        own = updates[updates["experiment"] == experiment.name]
        runs = find_phases(own, experiment.evaluation)
        for panel, name in zip(axes[:, column], shown, strict=True):
            _draw(panel, rows, runs, name, [arm for arm in arms if arm in set(rows["arm"])])
    axes[0, 0].set_ylabel("mean of |g|")
    axes[1, 0].set_ylabel("variance of |g|")
    style.legend_below(figure, axes.flat)
    return figure


def _draw(axes: Axes, rows: pd.DataFrame, runs: Runs, column: str, arms: Sequence[str]) -> None:
    names: list[str] = []
    for number, arm in enumerate(arms):
        phases = split(rows[rows["arm"] == arm], runs)
        names = list(phases)
        centres = np.arange(len(names)) + 0.3 * (number - (len(arms) - 1) / 2)
        look = style.look(arm)
        means = [part[column].mean() for part in phases.values()]
        axes.plot(
            centres, means, "--", linewidth=0.9, markeredgecolor="k", markeredgewidth=0.6,
            label=style.LABELS.get(arm, arm), **(look | {"markersize": 7.0}),
        )  # fmt: skip
        for centre, part in zip(centres, phases.values(), strict=True):
            spread = np.linspace(-0.08, 0.08, len(part)) if len(part) > 1 else np.zeros(1)
            points = {"linestyle": "none", "alpha": 0.55, "markersize": 3}
            axes.plot(centre + spread, part.sort_values("epoch")[column], **(look | points))
    if not any(np.isfinite(line.get_ydata()).any() for line in axes.get_lines()):
        style.no_data(axes)
        return
    style.logarithmic(axes)
    # In two lines: on one line the phases' names would touch.
    axes.set_xticks(range(len(names)), [name.replace(" near ", "\nnear ") for name in names])
    axes.set_xlim(-0.5, len(names) - 0.5)
