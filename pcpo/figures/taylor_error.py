"""Not in the paper: the error of log(ratio) in place of ratio - 1 over training (Sec. 2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from pcpo.analysis.taylor import largest_errors
from pcpo.compared import COMPARED
from pcpo.figures import style
from pcpo.figures.seed_bands import draw_band, seed_band
from pcpo.records import frames

TITLE = "Error of log(ratio) in place of ratio - 1"
CAPTION = (
    "Largest relative error |log(ratio) / (ratio - 1) - 1| in percent over all images, trained "
    "timesteps and updates of an epoch, on a logarithmic axis. Dotted: the paper's 1.2 %. Nothing "
    "is smoothed."
)
LIMIT = 1.2  # percent, Sec. 2.2


@style.draws(frames.UPDATES)
def taylor_error(
    updates: pd.DataFrame, experiments: Sequence[Any], arms: Sequence[str] = COMPARED
) -> Figure:
    """One column per experiment: a line for each of `arms`, its mean over seeds and their range."""
    figure, axes = style.panels(1, max(1, len(experiments)), height=2.0)
    errors = updates.assign(error=100 * largest_errors(updates))
    runs = ["experiment", "arm", "seed", "epoch"]
    by_epoch = errors.groupby(runs, as_index=False, observed=True)["error"].max()
    for panel, experiment, letter in zip(
        axes[0], experiments, style.letters(experiments), strict=False
    ):
        panel.set_title(style.title(experiment, letter))
        rows = by_epoch[by_epoch["experiment"] == experiment.name]
        drawn = [arm for arm in arms if (rows["arm"] == arm).any()]
        for arm in drawn:
            band = seed_band(rows[rows["arm"] == arm], "error")
            draw_band(panel, band, arm, label=style.LABELS.get(arm, arm))
        if not drawn:
            style.no_data(panel)
            continue
        panel.axhline(LIMIT, color="k", linestyle=":", linewidth=0.9)
        if (rows["error"] > 0).any():
            style.logarithmic(panel)
        style.epochs(panel)
    axes[0, 0].set_ylabel("largest error, %")
    style.legend_below(figure, axes[0])
    return figure
