"""Figure 10: how far the policy ratio is from one, where log(ratio) stands for ratio - 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pcpo.figures import style


@style.styled
def ratio_distribution(
    updates: pd.DataFrame, experiments: Sequence[Any], arm: str = "pcpo"
) -> Figure:
    """One column per experiment: quantiles of the log ratio by epoch, and the ratio's moments.

    From the `updates` frame, last update of each epoch (the farthest from the old policy), first
    seed of the run. Above: bands 1-99, 5-95 and 25-75 %, the median, and the clip range. Below:
    |mean(ratio) - 1| and the standard deviation of the ratio; epochs with an exact zero are left
    out of the logarithmic axis.
    """
    figure, axes = style.panels(2, max(1, len(experiments)), sharex="col")
    for column, experiment in enumerate(experiments):
        top, bottom = axes[:, column]
        top.set_title(style.title(experiment))
        rows = updates[(updates["experiment"] == experiment.name) & (updates["arm"] == arm)]
        if rows.empty:
            style.no_data(top, bottom)
            continue
        rows = rows[rows["seed"] == rows["seed"].min()].sort_values(["epoch", "update"])
        last = rows.groupby("epoch", as_index=False).last()
        colour = style.COLOURS.get(arm, "0.4")
        for low, high, alpha in (("01", "99", 0.15), ("05", "95", 0.25), ("25", "75", 0.4)):
            top.fill_between(
                last["epoch"],
                last[f"log_ratio_q{low}"],
                last[f"log_ratio_q{high}"],
                color=colour,
                alpha=alpha,
                linewidth=0,
                label=f"{int(low)}-{int(high)} %",
            )
        top.plot(last["epoch"], last["log_ratio_q50"], color=colour, label="median")
        for sign in (-1, 1):
            label = "clip range" if sign > 0 else None
            top.plot(last["epoch"], sign * last["clip_range"], "k:", linewidth=0.8, label=label)
        top.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
        for values, line, label in (
            (last["ratio_std"], "-", "std of the ratio"),
            ((last["ratio_mean"] - 1).abs(), "--", "|mean of the ratio - 1|"),
        ):
            shown = values.where(values > 0, np.nan)
            if shown.notna().any():
                bottom.plot(last["epoch"], shown, line, color=colour, label=label)
                bottom.set_yscale("log")
        bottom.set_xlabel("epoch")
    axes[0, 0].set_ylabel("log ratio")
    axes[1, 0].set_ylabel("ratio")
    style.legend_below(figure, axes.flat)
    return figure
