"""Figure 10: how far the policy ratio is from one, where log(ratio) replaces ratio - 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from pcpo.analysis.phases import NEAR, Runs, find_phases, split
from pcpo.compared import COMPARED
from pcpo.figures import style
from pcpo.records import frames

TITLE = "Distribution of the policy ratio"
PHASES = True  # the caption names runs with other phases
CAPTION = (
    "The ratio of the new to the old policy minus one, over images and trained timesteps, in the "
    "last update of an epoch, the farthest from the policy that sampled. Above: PCPO by epoch, "
    "bands of 1-99, 5-95 and 25-75 %, the median, and the clip range (dotted), first seed. Below: "
    f"from scratch, and {NEAR} (the paper names no epochs; these are its Figure 11's); boxes from "
    "the quartiles with the median, whiskers from 1 to 99 %, means of those quantiles over the "
    "epochs and seeds; the number is the mean standard deviation of the ratio. Quantiles were "
    "logged of the log-ratio and are exact for the ratio. Nothing is smoothed."
)
_LEVELS = ("01", "05", "25", "50", "75", "95", "99")


@style.draws(frames.UPDATES)
def ratio_distribution(
    updates: pd.DataFrame, experiments: Sequence[Any], arms: Sequence[str] = COMPARED
) -> Figure:
    """One column per experiment: quantiles of ratio - 1 by epoch, and in two phases of training.

    The upper panel shows the last of `arms`, first seed; the lower all arms and seeds.
    """
    figure, axes = style.panels(2, max(1, len(experiments)), width=3.4, height=2.3)
    last = updates.sort_values("update").groupby(_EPOCH, as_index=False).last()
    for level in _LEVELS:
        last[level] = np.expm1(last[f"log_ratio_q{level}"])  # monotone: quantiles stay quantiles
    for column, experiment in enumerate(experiments):
        top, bottom = axes[:, column]
        top.set_title(style.title(experiment, style.letters(experiments)[column]))
        rows = last[last["experiment"] == experiment.name]
        _draw_by_epoch(top, rows[rows["arm"] == arms[-1]], arms[-1])
        runs = find_phases(rows, experiment.evaluation)
        _draw_phases(bottom, rows, runs, [arm for arm in arms if arm in set(rows["arm"])])
        style.epochs(top)
    axes[0, 0].set_ylabel(f"ratio - 1, {style.LABELS.get(arms[-1], arms[-1])}")
    axes[1, 0].set_ylabel("ratio - 1")
    boxes = [
        Patch(facecolor=f"{style.colour(arm)}40", edgecolor=style.colour(arm), hatch=hatch,
              label=style.LABELS.get(arm, arm))
        for arm, hatch in zip(arms, _HATCHES, strict=False)
    ]  # fmt: skip
    clip = Line2D([], [], color="k", linestyle=":", linewidth=0.9, label="clip range")
    style.legend_below(figure, axes[0], extra=(*boxes, clip))
    return figure


_EPOCH = ["experiment", "arm", "seed", "epoch"]
_HATCHES = ("", "////", "....", "xxxx")


def _draw_by_epoch(axes: Axes, rows: pd.DataFrame, arm: str) -> None:
    if rows.empty:
        style.no_data(axes)
        return
    rows = rows[rows["seed"] == rows["seed"].min()].sort_values("epoch")
    x, colour = rows["epoch"], style.colour(arm)
    for low, high, alpha in (("01", "99", 0.15), ("05", "95", 0.25), ("25", "75", 0.45)):
        label = f"{int(low)}-{int(high)} %"
        shade: dict[str, Any] = {"color": colour, "alpha": alpha, "linewidth": 0, "label": label}
        axes.fill_between(x, rows[low], rows[high], **shade)
    axes.plot(x, rows["50"], color=colour, label="median")
    for sign in (-1, 1):
        axes.plot(x, np.expm1(sign * rows["clip_range"]), "k:", linewidth=0.9)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))


def _draw_phases(axes: Axes, rows: pd.DataFrame, runs: Runs, arms: Sequence[str]) -> None:
    if not arms:
        style.no_data(axes)
        return
    names: dict[str, float] = {}
    for number, arm in enumerate(arms):
        for phase, (name, part) in enumerate(split(rows[rows["arm"] == arm], runs).items()):
            names[name] = phase
            q = part[list(_LEVELS)].mean()
            position = phase + 0.36 * (number - (len(arms) - 1) / 2)
            colour = style.colour(arm)
            stats = {"med": q["50"], "q1": q["25"], "q3": q["75"]}
            line = {"color": colour, "linewidth": 1.0}
            box = axes.bxp(
                [stats | {"whislo": q["01"], "whishi": q["99"], "fliers": []}],
                positions=[position],
                widths=0.26,
                showfliers=False,
                patch_artist=True,
                manage_ticks=False,
                boxprops={"facecolor": f"{colour}40", "edgecolor": colour},
                medianprops={"color": "k", "linewidth": 1.2},
                whiskerprops=line,
                capprops=line,
            )
            box["boxes"][0].set_hatch(_HATCHES[number % len(_HATCHES)])
            deviation = f"std\n{part['ratio_std'].mean():.1e}"
            axes.annotate(
                deviation, (position, q["99"]), (0, 3), textcoords="offset points",
                ha="center", va="bottom", fontsize=6,
            )  # fmt: skip
    clip = float(rows["clip_range"].iloc[0])
    for bound in (np.expm1(-clip), np.expm1(clip)):
        axes.axhline(bound, color="k", linestyle=":", linewidth=0.9)
    axes.set_xticks(list(names.values()), list(names))
    axes.set_xlim(-0.6, max(names.values()) + 0.6)
    axes.margins(y=0.18)
    axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
