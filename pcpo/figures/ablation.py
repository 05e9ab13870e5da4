"""Figure 6: the components of PCPO added one by one to the DDPO baseline (configuration 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from pcpo.analysis.curves import epoch_curves
from pcpo.figures import style
from pcpo.figures.seed_bands import draw_band, seed_band
from pcpo.records import frames

ARMS = ("baseline", "log_hinge", "matching", "pcpo")
TITLE = "The components of PCPO, added one by one"
CAPTION = (
    "From the baseline over the log-hinge objective and prediction matching to PCPO with its "
    "proportional weights, and beside it the readings and parts of PCPO that were trained too. "
    "Above, left: mean reward of the images sampled in an epoch; middle: clip fraction, both "
    "sides, over all updates of an epoch; right: the same in the first, on-policy update, where "
    "nothing has been learnt from the samples yet. Below, left: share of terms whose gradient is "
    "off, one side, over all updates; middle and right: "
    f"{style.AUTHORS_COUNT} "
    "Moving average of {window} epochs."
)
SHOWN = (
    (
        ("reward_mean", "training reward"),
        ("clip_fraction", "clip fraction,\noverall"),
        ("clip_fraction_on_policy", "clip fraction,\non-policy"),
    ),
    (
        ("gated_fraction", "gradient off,\noverall"),
        ("authors_clip_fraction", "authors' count,\noverall"),
        ("authors_clip_fraction_on_policy", "authors' count,\non-policy"),
    ),
)


@style.draws(frames.UPDATES)
def ablation(
    updates: pd.DataFrame,
    experiments: Sequence[Any],
    arms: Sequence[str] = ARMS,
    window: int = style.WINDOW,
) -> Figure:
    """Two rows per experiment: reward and clip fractions of both definitions, by epoch.

    Values are moving averages over `window` epochs. Lines are means over seeds, bands run from
    the lowest to the highest seed.
    """
    blocks = max(1, len(experiments))
    figure, axes = style.panels(len(SHOWN) * blocks, len(SHOWN[0]), height=1.9)
    curves = epoch_curves(updates)
    for block, experiment in enumerate(experiments):
        rows = curves[curves["experiment"] == experiment.name]
        own = axes[len(SHOWN) * block : len(SHOWN) * (block + 1)]
        for panel, (column, label) in zip(own.flat, sum(SHOWN, ()), strict=True):
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
        own[0, 1].set_title(style.title(experiment))
    style.legend_below(figure, axes.flat)
    return figure
