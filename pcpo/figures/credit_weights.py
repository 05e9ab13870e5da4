"""Figure 2: the weight of each timestep, native and proportional to the integration interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from pcpo.figures import style


@style.styled
def credit_weights(credit: pd.DataFrame, experiments: Sequence[Any], arm: str = "pcpo") -> Figure:
    """One column per experiment: weights above, weight per integration interval below.

    From the `credit` frame: `native_weight` of Eq. (4) / (8), and the `weight` that `arm` trains
    with. Proportional credit is a constant below. Hollow points are steps that are not trained
    (above only); crosses are steps for which no sampler variance realises the weight (diffusion
    only).
    """
    figure, axes = style.panels(2, max(1, len(experiments)), sharex="col")
    for column, experiment in enumerate(experiments):
        top, bottom = axes[:, column]
        top.set_title(style.title(experiment))
        steps = credit[(credit["experiment"] == experiment.name) & (credit["arm"] == arm)]
        steps = steps.sort_values("step")
        if steps.empty:
            style.no_data(top, bottom)
            continue
        # Lengths relative to the mean trained interval: both panels then share their units.
        length = steps["interval"] / steps.loc[steps["trained"], "interval"].mean()
        for name, colour, label in (
            ("native_weight", style.COLOURS["baseline"], "native"),
            ("weight", style.COLOURS[arm], style.LABELS[arm]),
        ):
            # Untrained steps stand above alone: per interval a nearly empty last one would dwarf
            # all others (Flow-GRPO's has 0.009 of the unit).
            relative = (steps[name] / length).where(steps["trained"])
            for panel, values in ((top, steps[name]), (bottom, relative)):
                panel.plot(steps["timestep"], values, color=colour, label=label)
                for trained, face in ((True, colour), (False, "white")):
                    chosen = steps["trained"] == trained
                    panel.plot(
                        steps.loc[chosen, "timestep"],
                        values[chosen],
                        "o",
                        markersize=3,
                        color=colour,
                        markerfacecolor=face,
                    )
        infeasible = steps[~steps["feasible"]]
        if len(infeasible):
            label = "no sigma for this weight"
            top.plot(infeasible["timestep"], infeasible["weight"], "kx", ms=4, label=label)
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
