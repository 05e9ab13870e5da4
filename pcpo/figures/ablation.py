"""Figure 6: the components of PCPO added one by one to the DDPO baseline (configuration 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from pcpo import frames
from pcpo.curves import epoch_curves
from pcpo.figures import style
from pcpo.figures.seed_bands import draw_band, seed_band

ARMS = ("baseline", "log_hinge", "matching", "pcpo")
TITLE = "The components of PCPO, added one by one"
CAPTION = (
    "From the baseline over the log-hinge objective and prediction matching to PCPO with its "
    "proportional weights. Left: mean reward of the images sampled in an epoch; middle: clip "
    "fraction over all updates of an epoch; right: clip fraction of the first, on-policy update, "
    "where nothing has been learnt from the samples yet. Moving average of {window} epochs."
)


@style.draws(frames.UPDATES)
def ablation(
    updates: pd.DataFrame,
    experiments: Sequence[Any],
    arms: Sequence[str] = ARMS,
    window: int = style.WINDOW,
) -> Figure:
    """One row per experiment: reward, clip fraction overall, clip fraction on-policy, by epoch.

    Values are moving averages over `window` epochs; lines are means over seeds and bands run from
    the lowest to the highest seed.
    """
    shown = (
        ("reward_mean", "training reward"),
        ("clip_fraction", "clip fraction,\noverall"),
        ("clip_fraction_on_policy", "clip fraction,\non-policy"),
    )
    figure, axes = style.panels(max(1, len(experiments)), len(shown), height=2.2)
    curves = epoch_curves(updates)
    for row, experiment in zip(axes, experiments, strict=False):
        rows = curves[curves["experiment"] == experiment.name]
        for panel, (column, label) in zip(row, shown, strict=True):
            for arm in arms:
                runs = rows[rows["arm"] == arm]
                if len(runs):
                    band = seed_band(runs, column, window=window)
                    draw_band(panel, band, arm, label=style.LABELS.get(arm, arm))
            if not panel.lines:
                style.no_data(panel)
            elif column != "reward_mean":
                style.from_zero(panel)
            style.epochs(panel)
            panel.set_ylabel(label)
        row[1].set_title(style.title(experiment))
    style.legend_below(figure, axes.flat)
    return figure
