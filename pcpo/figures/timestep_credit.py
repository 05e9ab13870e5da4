"""Figure 12: the on-policy case by timestep, and the weight that scales a step's gradient.

Appendix E: on-policy, where the ratio is one and nothing is clipped, the gradient of a timestep is
w_t times the core policy gradient (Eq. 16). It is proportional to w_t if the statistics of that
term are the same at all timesteps. The upper two rows show this premise, the lower row tests the
conclusion.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pcpo.compared import COMPARED
from pcpo.figures import style
from pcpo.figures.seed_bands import draw_band, seed_band, shade
from pcpo.records import frames

TITLE = "The on-policy case, by timestep"
CAPTION = (
    "What Appendix E assumes of the on-policy update, the first of an epoch: the ratio is one and "
    "nothing is clipped, so that the gradient of a timestep is its weight w_t times the policy "
    "gradient (Eq. 16). Top: mean log-ratio of that update by timestep, band of one standard "
    "deviation. Middle: its clip fraction, the log-ratios that rounding alone has put outside the "
    "clip range. Bottom: standard deviation of the log-ratio in the later updates (lines) and the "
    "weight w_t (dotted), each relative to its mean over the timesteps. Where line and dots agree, "
    "a step's share is its weight, as Appendix E says; where they do not, the policy gradient "
    "itself differs over timesteps. Over all epochs, each image and timestep counted once; noise "
    "is on the left; not smoothed. The paper's text does not say which configurations its Figure "
    "12 shows; those of Figures 10 and 11 are taken."
)


@style.draws(frames.TIMESTEPS, frames.CREDIT)
def timestep_credit(
    timesteps: pd.DataFrame,
    credit: pd.DataFrame,
    experiments: Sequence[Any],
    arms: Sequence[str] = COMPARED,
) -> Figure:
    """One column per experiment: on-policy log-ratio, on-policy clip fraction, spread and weight.

    Lines are means over seeds. Bands run from the lowest to the highest seed; in the first row the
    band is one pooled standard deviation.
    """
    figure, axes = style.panels(3, max(1, len(experiments)), width=3.2, height=1.8, sharex="col")
    for column, experiment in enumerate(experiments):
        mean_axes, clip_axes, spread_axes = axes[:, column]
        mean_axes.set_title(style.title(experiment, style.letters(experiments)[column]))
        rows = timesteps[timesteps["experiment"] == experiment.name]
        for arm in arms:
            runs = rows[rows["arm"] == arm]
            on_policy, later = (
                by_timestep(runs[runs["update"] == 1]),
                by_timestep(runs[runs["update"] > 1]),
            )
            if len(on_policy):
                _draw_mean(mean_axes, on_policy, arm)
                draw_band(clip_axes, seed_band(on_policy, "clip_fraction", "timestep"), arm)
            weights = credit[(credit["experiment"] == experiment.name) & (credit["arm"] == arm)]
            _draw_spread(spread_axes, later, weights, arm)
        for panel in axes[:, column]:
            if not panel.lines:
                style.no_data(panel)
        if mean_axes.lines:
            style.from_zero(clip_axes)
            if not any(np.any(line.get_ydata()) for line in mean_axes.lines):
                style.note(mean_axes, "all means are 0")
            mean_axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
            spread_axes.invert_xaxis()  # sampling order; the column shares the axis
        spread_axes.set_xlabel("timestep")
    axes[0, 0].set_ylabel("log-ratio,\non-policy")
    axes[1, 0].set_ylabel("clip fraction,\non-policy")
    axes[2, 0].set_ylabel("relative to the mean,\nlater updates")
    lines = (
        Line2D([], [], color="0.3", linestyle="-", label="std of the log-ratio"),
        Line2D([], [], color="0.3", linestyle=":", label="weight w"),
    )
    style.legend_below(figure, axes.flat, extra=lines)
    return figure


def by_timestep(rows: pd.DataFrame) -> pd.DataFrame:
    """log_ratio_mean, log_ratio_std and clip_fraction by seed and timestep, pooled over updates."""
    weighted = pd.DataFrame(
        {
            "log_ratio_mean": rows["log_ratio_mean"] * rows["terms"],
            "square": (rows["log_ratio_std"] ** 2 + rows["log_ratio_mean"] ** 2) * rows["terms"],
            "clip_fraction": rows["clip_fraction"] * rows["terms"],
            "terms": rows["terms"],
        }
    ).groupby([rows["seed"], rows["timestep"]])
    sums = weighted.sum()
    pooled = sums.div(sums["terms"], axis=0)
    variance = pooled["square"] - pooled["log_ratio_mean"] ** 2
    pooled["log_ratio_std"] = np.sqrt(variance.clip(lower=0.0))
    return pooled.drop(columns=["square", "terms"]).reset_index()


def _draw_mean(axes: Axes, rows: pd.DataFrame, arm: str) -> None:
    mean = seed_band(rows, "log_ratio_mean", "timestep")
    spread = seed_band(rows, "log_ratio_std", "timestep")["mean"]
    look = style.look(arm, len(mean))
    axes.plot(mean["timestep"], mean["mean"], label=style.LABELS.get(arm, arm), **look)
    shade(axes, mean["timestep"], mean["mean"] - spread, mean["mean"] + spread, arm)


def _draw_spread(axes: Axes, later: pd.DataFrame, credit: pd.DataFrame, arm: str) -> None:
    if later.empty:
        return
    spread = seed_band(later, "log_ratio_std", "timestep")
    unit = spread["mean"].mean()
    if unit > 0:
        relative = spread.assign(**{c: spread[c] / unit for c in ("mean", "low", "high")})
        draw_band(axes, relative, arm)
    trained = credit[credit["trained"]].sort_values("timestep")
    if len(trained):
        share = trained["weight"] / trained["weight"].mean()
        colour = style.colour(arm)
        axes.plot(trained["timestep"], share, ":", color=colour, linewidth=1.6)
