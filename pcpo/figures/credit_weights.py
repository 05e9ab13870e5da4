"""Figure 2: the weight of each timestep, native and proportional to the integration interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pcpo import frames
from pcpo.figures import style

TITLE = "Weights of the timesteps, native and proportional"
CAPTION = (
    "Above: the weight w of each timestep in the log-ratio (Eq. 4 and 8), the sampler's own and "
    "the one that PCPO trains with. Below: the same per integration interval, relative to the mean "
    "interval of the trained steps; proportional credit is a constant there. Hollow points: steps "
    "that are not trained (above only). Crosses: steps where no variance of the sampler realises "
    "the weight; the native variance is kept there, and the weight stands in the loss. Computed "
    "from the samplers' schedules; nothing is measured. Noise is on the left; an axis is "
    "logarithmic where the native weights span more than a factor of ten."
)


@style.draws(frames.CREDIT)
def credit_weights(
    credit: pd.DataFrame, experiments: Sequence[Any], arms: Sequence[str] = ("baseline", "pcpo")
) -> Figure:
    """One column per experiment: weights above, weight per integration interval below.

    `native_weight` of Eq. (4) / (8) as the baseline, and the `weight` that the other arms train
    with.
    """
    figure, axes = style.panels(2, max(1, len(experiments)), sharex="col")
    for column, experiment in enumerate(experiments):
        top, bottom = axes[:, column]
        top.set_title(style.title(experiment, style.letters(experiments)[column]))
        rows = credit[credit["experiment"] == experiment.name].sort_values("step")
        drawn = [arm for arm in arms if arm != "baseline" and arm in set(rows["arm"])]
        if not drawn:
            style.no_data(top, bottom)
            continue
        steps = rows[rows["arm"] == drawn[0]]
        _draw(top, bottom, steps, "native_weight", "baseline", "native")
        for arm in drawn:
            steps = rows[rows["arm"] == arm]
            _draw(top, bottom, steps, "weight", arm, style.LABELS.get(arm, arm))
            infeasible = steps[~steps["feasible"]]
            if len(infeasible):
                cross = {"label": "no sigma for this weight", "markersize": 6, "zorder": 3}
                top.plot(infeasible["timestep"], infeasible["weight"], "kx", **cross)
        positive = steps.loc[steps["trained"], "native_weight"]
        if positive.max() > 10 * positive.min() > 0:
            top.set_yscale("log")
            bottom.set_yscale("log")
        bottom.invert_xaxis()  # sampling order: noise on the left; the column shares the axis
        bottom.set_xlabel("timestep")
    axes[0, 0].set_ylabel("weight w")
    axes[1, 0].set_ylabel("w / interval (relative)")
    style.legend_below(figure, axes.flat)
    return figure


def _draw(top: Axes, bottom: Axes, steps: pd.DataFrame, column: str, arm: str, label: str) -> None:
    # Lengths relative to the mean trained interval: both panels then share their units.
    length = steps["interval"] / steps.loc[steps["trained"], "interval"].mean()
    # Untrained steps stand above alone: per interval a nearly empty last one would dwarf all others
    # (Flow-GRPO's has 0.009 of the unit).
    relative = (steps[column] / length).where(steps["trained"])
    look = style.look(arm)
    look.pop("markevery")
    size = 3.5 if len(steps) <= 20 else 2.0
    for panel, values in ((top, steps[column]), (bottom, relative)):
        panel.plot(steps["timestep"], values, label=label, **(look | {"markersize": size}))
    hollow = ~steps["trained"]
    points = {"linestyle": "none", "markerfacecolor": "white", "markersize": size + 1.5}
    if hollow.any():
        top.plot(steps.loc[hollow, "timestep"], steps.loc[hollow, column], **(look | points))
