"""A line over training seeds: their mean, and a band from the lowest to the highest."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from pcpo.figures import style


def seed_band(runs: pd.DataFrame, column: str, x: str = "epoch", window: int = 1) -> pd.DataFrame:
    """Columns x, mean, low and high of `column` over the seeds of one experiment's arm.

    `runs` has one row per seed and x. Each seed is smoothed over `window` points first. Only x that
    all seeds have are kept, so that the line does not jump where a seed ends.
    """
    table = runs.pivot(index=x, columns="seed", values=column).sort_index().dropna()
    table = table.apply(lambda values: style.smooth(values, window))
    band = pd.DataFrame({"mean": table.mean(axis=1), "low": table.min(axis=1)})
    return band.assign(high=table.max(axis=1)).rename_axis(x).reset_index()


def draw_band(
    axes: Axes, band: pd.DataFrame, arm: str, line: str = "-", label: str | None = None
) -> None:
    """Draw `seed_band`'s mean as an arm's line, and its band where the seeds differ."""
    x = band.iloc[:, 0]
    axes.plot(x, band["mean"], line, label=label, **style.look(arm, len(band)))
    if (band["high"] > band["low"]).any():
        shade(axes, x, band["low"], band["high"], arm)


def shade(axes: Axes, x: pd.Series, low: pd.Series, high: pd.Series, arm: str) -> None:
    colour = style.colour(arm)
    axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)


def draw_reward(axes: Axes, runs: pd.DataFrame, arm: str, window: int) -> None:
    """The reward of an arm's runs (`pcpo.analysis.curves.epoch_curves`) by epoch, with its band."""
    band = seed_band(runs, "reward_mean", window=window)
    draw_band(axes, band, arm, label=style.LABELS.get(arm, arm))
    if runs["seed"].nunique() == 1:
        error = runs.set_index("epoch")["reward_se"].reindex(band["epoch"]).to_numpy()
        shade(axes, band["epoch"], band["mean"] - error, band["mean"] + error, arm)
