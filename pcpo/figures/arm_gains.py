"""Not in the paper: what every arm gains over training, beside the baseline, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pcpo.analysis.outcomes import areas, of_shared_seeds, validation_curve
from pcpo.figures import style
from pcpo.records import frames

TITLE = "What the arms gain"
CAPTION = (
    "Area under the validation curve above the base model's reward (the mean gain over training), "
    "an arm's minus the baseline's within a training seed: dots are seeds, the mark is their mean, "
    "the bar its 95 % interval (Student's t over seeds). Dashed: the baseline."
)

AVERAGED = False  # every seed is a dot


@style.draws(frames.VALIDATION)
def arm_gains(
    validation: pd.DataFrame, experiments: Sequence[Any], arms: Sequence[str] = ()
) -> Figure:
    """One panel per experiment, a row for each of `arms` that was trained there, in their order."""
    by_name = dict([*validation.groupby("experiment")])
    nothing = validation.iloc[:0]
    own = [by_name.get(e.name, nothing) for e in experiments]
    shown = [[a for a in arms if a != "baseline" and (rows["arm"] == a).any()] for rows in own]
    height = 0.9 + 0.17 * max([1, *map(len, shown)])
    figure, axes = style.panels(1, max(1, len(experiments)), height=height)
    # The last title may be wider than its panel.
    figure.set_layout_engine("constrained", rect=(0, 0, 0.95, 1))
    for column, experiment in enumerate(experiments):
        panel = axes[0, column]
        panel.set_title(style.title(experiment, style.letters(experiments)[column]))
        drawn = [_draw(panel, own[column], arm, y) for y, arm in enumerate(shown[column])]
        if not any(drawn):
            style.no_data(panel)
            continue
        panel.axvline(0, color="0.4", linestyle="--", linewidth=0.8)
        panel.set_yticks(range(len(drawn)), [style.LABELS.get(a, a) for a in shown[column]])
        panel.tick_params(axis="y", labelsize=6)
        panel.invert_yaxis()
        panel.set_xlabel("gain over the baseline")
    return figure


def gains(validation: pd.DataFrame, arm: str) -> np.ndarray:
    """Area of an arm minus the baseline's, `(seeds,)`, of the seeds that both have.

    validation: of one experiment.
    """
    curves = [
        {
            int(str(seed)): validation_curve(run)
            for seed, run in validation[validation["arm"] == name].groupby("seed")
        }
        for name in (arm, "baseline")
    ]
    pair = of_shared_seeds(*curves)
    if not pair[0]:
        return np.zeros(0)
    one, other = areas(pair)
    return one - other


def _draw(panel: Axes, validation: pd.DataFrame, arm: str, y: int) -> bool:
    values = gains(validation, arm)
    if not len(values):
        return False
    colour = style.colour(arm)
    panel.plot(values, np.full(len(values), y), ".", color="0.6", markersize=2.5, zorder=1)
    if len(values) > 1:
        from pcpo.stats.intervals import t_interval

        interval = t_interval(values)
        panel.plot([interval.low, interval.high], [y, y], color=colour, linewidth=1.3, zorder=2)
    marker = style.MARKERS.get(arm, "D")
    panel.plot(values.mean(), y, marker, color=colour, markersize=3.5, zorder=3)
    return True
