"""Figure 5: reward on fixed prompts by epoch, and reward against KL (Flow-GRPO)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pcpo.analysis.curves import epoch_curves
from pcpo.compared import COMPARED
from pcpo.figures import style
from pcpo.figures.seed_bands import draw_band, seed_band, shade
from pcpo.records import frames

TITLE = "Validation reward, reward against KL, and clip fraction"
CAPTION = (
    "Above: reward on a fixed set of prompts that are not trained on; epoch 0 is the base model; "
    "bars are one standard error over the images where there is one seed. Middle: training reward "
    "(moving average of {window} epochs) against the KL divergence to the base model, one point "
    "per epoch; as in Appendix B.3.4 the divergence is the running mean of all estimates up to the "
    "epoch, which is likely below the divergence at that epoch. Its axis points down: training "
    "starts at the top left and ends at the large mark, and a curve further up and to the right is "
    "better. Then: clip fraction, both sides, over all updates of an epoch, moving average of "
    "{window} epochs. Bottom: "
    f"{style.AUTHORS_COUNT}"
)

NOISE = {"deterministic": "without noise", "native": "with the training's noise"}


def remark(experiments: Sequence[Any]) -> str:
    """How the validation images of each configuration are sampled; "" without any."""
    numbers_of: dict[str, list[str]] = {}
    for e in experiments:
        if e.validation is not None:
            how = f"{NOISE[e.validation.sampler]} in {e.validation.steps} steps"
            numbers_of.setdefault(how, []).append(str(e.number))
    parts = [f"{how} (configuration {', '.join(numbers)})" for how, numbers in numbers_of.items()]
    return f"Validation images are sampled {'; '.join(parts)}" if parts else ""


@style.draws(frames.UPDATES, frames.VALIDATION)
def validation_and_kl(
    updates: pd.DataFrame,
    validation: pd.DataFrame,
    experiments: Sequence[Any],
    arms: Sequence[str] = COMPARED,
    window: int = style.WINDOW,
) -> Figure:
    """One column per experiment: validation reward, KL over training reward, clip fractions.

    Lines are means over seeds, epoch by epoch; bands run from the lowest to the highest seed.
    """
    figure, axes = style.panels(4, max(1, len(experiments)), width=2.9, height=1.8)
    curves = epoch_curves(updates).merge(running_kl(updates), how="left")
    for column, experiment in enumerate(experiments):
        top, middle, *clips = axes[:, column]
        top.set_title(style.title(experiment, style.letters(experiments)[column]))
        second_letter = style.letters(experiments, start=len(experiments))[column]
        middle.set_title(f"({second_letter})" if second_letter else "")
        rows = curves[curves["experiment"] == experiment.name]
        validated = validation[validation["experiment"] == experiment.name]
        for arm in arms:
            _draw_validation(top, validated[validated["arm"] == arm], arm)
            runs = rows[rows["arm"] == arm]
            if runs.empty:
                continue
            reward = seed_band(runs, "reward_mean", window=window)
            kl = seed_band(runs, "running_kl").set_index("epoch").reindex(reward["epoch"])
            known = kl["mean"].notna().to_numpy()
            if known.any():
                label = style.LABELS.get(arm, arm)
                x = reward["mean"][known]
                middle.plot(x, kl["mean"][known], label=label, **style.look(arm, int(known.sum())))
                middle.plot(x[-1:], kl["mean"][known][-1:], **_END, **style.look(arm))
            for panel, name in zip(clips, ("clip_fraction", "authors_clip_fraction"), strict=True):
                draw_band(panel, seed_band(runs, name, window=window), arm)
        for panel in (top, middle, *clips):
            if not panel.lines:
                style.no_data(panel)
        if middle.lines:
            middle.invert_yaxis()  # as in the paper: low divergence above
            middle.ticklabel_format(axis="y", style="sci", scilimits=(-3, 3))
        for panel in clips:
            if panel.lines:
                style.from_zero(panel)
        style.epochs(top, *clips)
        middle.set_xlabel("training reward")
    axes[0, 0].set_ylabel("validation reward")
    axes[1, 0].set_ylabel("KL to the base model")
    axes[2, 0].set_ylabel("clip fraction,\noverall")
    axes[3, 0].set_ylabel("clip fraction,\nauthors' count")
    style.legend_below(figure, axes.flat)
    return figure


_END: dict[str, Any] = {"markersize": 7, "markerfacecolor": "none"}  # the last epoch has a ring


def running_kl(updates: pd.DataFrame) -> pd.DataFrame:
    """`running_kl` by run and epoch: the mean of all estimates of the run up to that epoch."""
    keys = ["experiment", "arm", "seed", "epoch"]
    sums = updates.groupby(keys)["kl"].agg(["sum", "count"]).groupby(keys[:3]).cumsum()
    mean = sums["sum"] / sums["count"].replace(0, np.nan)
    return mean.rename("running_kl").reset_index()


def _draw_validation(axes: Axes, rows: pd.DataFrame, arm: str) -> None:
    if rows.empty:
        return
    band = seed_band(rows, "reward_mean")
    x, look = band["epoch"], style.look(arm)
    label = style.LABELS.get(arm, arm)
    error = None
    if rows["seed"].nunique() == 1:
        each = rows.sort_values("epoch")
        error = (each["reward_std"] / np.sqrt(each["images"])).to_numpy()
    else:
        shade(axes, x, band["low"], band["high"], arm)
    look.pop("markevery")
    axes.errorbar(x, band["mean"], yerr=error, label=label, elinewidth=0.8, capsize=2, **look)
