"""Figure 2: the weight of each timestep on the paper's own samplers, by reading of PCPO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pcpo.compared import COMPARED
from pcpo.figures import style
from pcpo.records import frames

TITLE = "Weights of the timesteps, native and proportional"
CAPTION = (
    "The paper's own samplers, whatever was run here: DDIM with 50 steps on SD1.5's noise schedule "
    "(a, b, d, e), DanceGRPO's SDE with 16 steps (c), Flow-GRPO's with 10 (f). (a) The weight w "
    "that the loss takes; 0.517, the mean of the native weights, is the constant that PCPO's "
    "authors have. (b) sigma of a step over the native one. (d) (c1 + c2) / sigma, Eq. (6) with "
    "the other sign of the root: the authors' variance makes this 4.5. (e) w = (c1 - c2) / sigma "
    "of the sampler that runs: of the authors' it is as uneven as the native one, so that what "
    "makes their credit uniform is the constant in the loss. The solution of Eq. (6) as the text "
    "has it is constant where it exists. Crosses: steps where a reading's equation has no solution "
    "and the native sigma is used. (c, f) w over the interval dt; PCPO's is the constant zeta, "
    "13.343 and 4.315. Hollow points: steps that are not trained. Computed from the schedules; "
    "nothing is measured. Noise is on the left; logarithmic axes in (a), (c), (e), (f)."
)
# Title, sampler, column, label of the axis, whether it is logarithmic, marked values.
_PANELS = (
    ("(a) DDIM, 50 steps", "ddim_50", "weight", "weight in the loss", True, 0.517),
    ("(b) DDIM, 50 steps", "ddim_50", "sigma_ratio", "sigma / native sigma", False, None),
    ("(c) DanceGRPO, 16 steps", "dance_16", "per_interval", "w / dt", True, 13.343),
    ("(d) DDIM, 50 steps", "ddim_50", "sum_weight", "(c1 + c2) / sigma", False, 4.5),
    ("(e) DDIM, 50 steps", "ddim_50", "own_weight", "(c1 - c2) / sigma", True, 0.517),
    ("(f) Flow-GRPO, 10 steps", "flow_10", "per_interval", "w / dt", True, 4.315),
)


@style.draws(frames.READINGS)
def credit_weights(
    readings: pd.DataFrame,
    experiments: Sequence[Any] = (),
    arms: Sequence[str] = COMPARED,
) -> Figure:
    """Six panels, `_PANELS`; a line per arm of `arms` that the sampler has.

    experiments: not used; the samplers are the paper's.
    """
    figure, axes = style.panels(2, 3, width=2.4, height=2.1)
    readings = readings.assign(
        sigma_ratio=readings["sigma"] / readings["native_sigma"],
        per_interval=readings["weight"] / readings["interval"],
    )
    for panel, (title, sampler, column, label, logarithmic, mark) in zip(
        axes.flat, _PANELS, strict=True
    ):
        panel.set_title(title)
        rows = readings[readings["sampler"] == sampler]
        for arm in arms:
            steps = rows[rows["reading"] == arm].sort_values("step")
            if len(steps):
                _draw(panel, steps, column, arm)
        if not panel.lines:
            style.no_data(panel)
            continue
        if logarithmic:
            style.logarithmic(panel)
        if mark is not None:
            panel.axhline(mark, color="0.5", linewidth=0.8, linestyle=":", zorder=0)
            panel.annotate(
                f"{mark:g}", (1.02, mark), xycoords=("axes fraction", "data"), ha="left",
                va="center", fontsize=7, color="0.3",
            )  # fmt: skip
        panel.set_xlabel("timestep")
        panel.set_ylabel(label)
        panel.invert_xaxis()  # sampling order: noise on the left
    style.legend_below(figure, axes.flat)
    return figure


def _draw(panel: Axes, steps: pd.DataFrame, column: str, arm: str) -> None:
    look = style.look(arm)
    look.pop("markevery")
    size = 3.5 if len(steps) <= 20 else 2.0
    label = style.LABELS.get(arm, arm)
    panel.plot(steps["timestep"], steps[column], label=label, **(look | {"markersize": size}))
    points: dict[str, Any] = {
        "linestyle": "none",
        "markerfacecolor": "white",
        "markersize": size + 1.5,
    }
    hollow = steps[~steps["trained"]]
    if len(hollow):
        panel.plot(hollow["timestep"], hollow[column], **(look | points))
    unsolved = steps[~steps["feasible"]]
    if len(unsolved):
        cross: dict[str, Any] = {"label": "no solution", "markersize": 6, "zorder": 3}
        panel.plot(unsolved["timestep"], unsolved[column], "kx", **cross)
