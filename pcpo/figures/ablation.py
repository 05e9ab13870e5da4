"""Figure 6: the components of PCPO added one by one to the DDPO baseline (configuration 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from pcpo.curves import epoch_curves, seed_average
from pcpo.figures import style

ARMS = ("baseline", "log_hinge", "matching", "pcpo")


@style.styled
def ablation(
    updates: pd.DataFrame,
    experiments: Sequence[Any],
    arms: Sequence[str] = ARMS,
    window: int = style.WINDOW,
) -> Figure:
    """One row per experiment: reward, clip fraction overall, clip fraction on-policy, by epoch.

    Drawn from the `updates` frame; values are moving averages over `window` epochs.
    """
    shown = (
        ("reward_mean", "training reward"),
        ("clip_fraction", "clip fraction, overall"),
        ("clip_fraction_on_policy", "clip fraction, on-policy"),
    )
    figure, axes = style.panels(max(1, len(experiments)), len(shown), width=2.8, height=2.2)
    curves = seed_average(epoch_curves(updates))
    for row, experiment in zip(axes, experiments, strict=False):
        rows = curves[curves["experiment"] == experiment.name]
        for panel, (column, label) in zip(row, shown, strict=True):
            for arm in arms:
                curve = rows[rows["arm"] == arm].sort_values("epoch")
                if curve.empty:
                    continue
                panel.plot(
                    curve["epoch"],
                    style.smooth(curve[column], window),
                    color=style.COLOURS.get(arm, "0.4"),
                    label=style.LABELS.get(arm, arm),
                )
            if not panel.lines:
                style.no_data(panel)
            elif column != "reward_mean":
                style.from_zero(panel)
            panel.set_xlabel("epoch")
            panel.set_ylabel(label)
        row[1].set_title(style.title(experiment))
    style.legend_below(figure, axes.flat)
    return figure
