"""Figures 3 and 9: training reward and clip fraction by epoch, baseline and PCPO.

The clip fraction is drawn twice: counted alike for all arms, and as the authors count it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pcpo.analysis.curves import epoch_curves
from pcpo.compared import COMPARED
from pcpo.figures import style
from pcpo.figures.seed_bands import draw_band, draw_reward, seed_band
from pcpo.records import frames

TITLE = "Training reward and clip fraction"
COUNTS = ("clip_fraction", "authors_clip_fraction")
CAPTION = (
    "Top: mean reward of the images sampled in an epoch, one column per configuration. Middle: "
    "clip fraction, the share of log-ratios outside the clip range on either side, for all arms "
    "alike; solid over all updates of an epoch, dashed on-policy (its first update). Bottom: "
    f"{style.AUTHORS_COUNT} "
    "Moving average of {window} epochs. With one seed, the band of the reward is one standard "
    "error of the epoch's mean over its images."
)


@style.draws(frames.UPDATES)
def training_curves(
    updates: pd.DataFrame,
    experiments: Sequence[Any],
    arms: Sequence[str] = COMPARED,
    window: int = style.WINDOW,
) -> Figure:
    """One column per experiment; reward, clip fraction, and clip fraction as the authors count it.

    Lines are means over seeds. Bands run from the lowest to the highest seed. With one seed they
    are +- one standard error of the epoch's mean reward (before smoothing).
    """
    figure, axes = style.panels(3, max(1, len(experiments)), height=1.7, sharex="col")
    curves = epoch_curves(updates)
    for column, (experiment, letter) in enumerate(
        zip(experiments, style.letters(experiments), strict=True)
    ):
        reward_axes, *clip_axes = axes[:, column]
        reward_axes.set_title(style.title(experiment, letter))
        style.epochs(clip_axes[-1])
        rows = curves[curves["experiment"] == experiment.name]
        drawn = [arm for arm in arms if arm in set(rows["arm"])]
        for arm in drawn:
            runs = rows[rows["arm"] == arm]
            draw_reward(reward_axes, runs, arm, window)
            for panel, name in zip(clip_axes, COUNTS, strict=True):
                for which, line in ((name, "-"), (f"{name}_on_policy", "--")):
                    draw_band(panel, seed_band(runs, which, window=window), arm, line)
        if drawn:
            for panel in clip_axes:
                style.from_zero(panel)
        else:
            style.no_data(reward_axes, *clip_axes)
    axes[0, 0].set_ylabel("training reward")
    axes[1, 0].set_ylabel("clip fraction")
    axes[2, 0].set_ylabel("clip fraction,\nauthors' count")
    lines = (
        Line2D([], [], color="0.3", linestyle="-", label="clip fraction, overall"),
        Line2D([], [], color="0.3", linestyle="--", label="clip fraction, on-policy"),
    )
    style.legend_below(figure, axes.flat, extra=lines)
    return figure
