"""Figures 3 and 9: training reward and clip fraction by epoch, baseline and PCPO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pcpo.curves import epoch_curves, seed_average
from pcpo.figures import style


@style.styled
def training_curves(
    updates: pd.DataFrame,
    experiments: Sequence[Any],
    arms: Sequence[str] = ("baseline", "pcpo"),
    window: int = style.WINDOW,
) -> Figure:
    """One column per experiment; reward above, clip fraction below (moving average of `window`).

    `updates` is the frame of that name. Clip fraction: solid over all updates of an epoch, dashed
    on-policy (the first update). Several seeds are averaged; the band is +- one standard error of
    the epoch's mean reward (before smoothing).
    """
    figure, axes = style.panels(2, max(1, len(experiments)), sharex="col")
    curves = seed_average(epoch_curves(updates))
    for column, experiment in enumerate(experiments):
        reward_axes, clip_axes = axes[:, column]
        reward_axes.set_title(style.title(experiment))
        clip_axes.set_xlabel("epoch")
        rows = curves[curves["experiment"] == experiment.name]
        drawn = [arm for arm in arms if arm in set(rows["arm"])]
        for arm in drawn:
            curve = rows[rows["arm"] == arm].sort_values("epoch")
            _draw_reward(reward_axes, curve, arm, window)
            _draw_clip_fraction(clip_axes, curve, arm, window)
        if drawn:
            style.from_zero(clip_axes)
        else:
            style.no_data(reward_axes, clip_axes)
    axes[0, 0].set_ylabel("training reward")
    axes[1, 0].set_ylabel("clip fraction")
    lines = (
        Line2D([], [], color="0.3", linestyle="-", label="clip fraction, overall"),
        Line2D([], [], color="0.3", linestyle="--", label="clip fraction, on-policy"),
    )
    style.legend_below(figure, axes.flat, extra=lines)
    return figure


def _draw_reward(axes: Axes, curve: pd.DataFrame, arm: str, window: int) -> None:
    mean = style.smooth(curve["reward_mean"], window)
    error = curve["reward_se"].to_numpy()
    colour = style.COLOURS.get(arm, "0.4")
    axes.plot(curve["epoch"], mean, color=colour, label=style.LABELS.get(arm, arm))
    band = (mean - error, mean + error)
    axes.fill_between(curve["epoch"], *band, color=colour, alpha=0.15, linewidth=0)


def _draw_clip_fraction(axes: Axes, curve: pd.DataFrame, arm: str, window: int) -> None:
    for name, line in (("clip_fraction", "-"), ("clip_fraction_on_policy", "--")):
        values = style.smooth(curve[name], window)
        axes.plot(curve["epoch"], values, line, color=style.COLOURS.get(arm, "0.4"))
