"""Figure 4: how often people prefer PCPO's images to the baseline's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pcpo.figures import style
from pcpo.preference.questions import COMPARISONS, QUESTIONS
from pcpo.records import frames

TITLE = "People's preference between PCPO and the baseline"
CAPTION = (
    "Share of people's answers that prefer PCPO's image, in each category and against the "
    "baseline's checkpoints of lower and of higher reward; dotted: no preference. Lines are 95 % "
    "intervals, robust to clusters of raters and of prompts; numbers are answers. A tie is half an "
    "answer for each; raters who miss attention checks are left out. The paper does not name its "
    "categories: these are ours (docs/preference.md)."
)

AVERAGED = False  # answers on the images of several training seeds are taken together
# Device -> label, marker, shift on the horizontal axis.
_DEVICES = {
    None: ("all", "D", -0.22),
    "phone": ("phones", "^", 0.0),
    "desktop": ("desktops", "s", 0.22),
}
_REWARD = {"lower_reward": "lower reward", "higher_reward": "higher reward"}


@style.draws(frames.PREFERENCE)
def preference(
    answers: pd.DataFrame, experiments: Sequence[Any], arms: Sequence[str] = ()
) -> Figure:
    """A row of panels per experiment: one panel against each checkpoint of the baseline."""
    # Here: no other figure needs statsmodels, and each figure's job loads all kinds.
    from pcpo.preference.analysis import counted, inattentive

    figure, axes = style.panels(
        max(1, len(experiments)), 2, width=3.5, height=2.4, sharey=True, sharex=True
    )
    for row, experiment in zip(axes, experiments, strict=False):
        own = answers[answers["experiment"] == experiment.name]
        rows = counted(own)
        for panel, comparison in zip(row, COMPARISONS, strict=True):
            _panel(panel, rows[rows["comparison"] == comparison])
            epochs = _epochs(own[own["comparison"] == comparison])
            panel.set_title(
                f"{style.title(experiment)}\nagainst the baseline of {_REWARD[comparison]}{epochs}"
            )
        row[0].set_ylabel("share that prefers PCPO")
        for panel in row:
            panel.set_xlabel(f"{rows['rater'].nunique()} raters, {len(inattentive(own))} left out")
    style.legend_below(figure, axes.flat)
    return figure


def _panel(panel: Axes, rows: pd.DataFrame) -> None:
    from pcpo.preference.analysis import rate

    if rows.empty:
        style.no_data(panel)
        return
    panel.axhline(0.5, color="0.4", linestyle=":", linewidth=0.9)
    for device, (label, marker, shift) in _DEVICES.items():
        of_device = rows if device is None else rows[rows["device"] == device]
        if of_device.empty:
            continue
        found = [rate(of_device[of_device["category"] == category]) for category in QUESTIONS]
        share, low, high = (
            np.array([getattr(r, k) for r in found]) for k in ("share", "low", "high")
        )
        x = np.arange(len(found)) + shift
        panel.errorbar(
            x, share, [share - low, high - share], linestyle="none", marker=marker, label=label,
            color=style.COLOURS["pcpo"] if device is None else "0.25", capsize=2, markersize=4,
        )  # fmt: skip
        for place, one in zip(x, found, strict=True):
            panel.annotate(
                str(one.answers), (place, 0.02), ha="center", va="bottom", fontsize=6, color="0.35"
            )
    panel.set_xticks(range(len(QUESTIONS)), [*QUESTIONS])
    panel.set_xlim(-0.6, len(QUESTIONS) - 0.4)
    panel.set_ylim(0, 1)


def _epochs(rows: pd.DataFrame) -> str:
    """The epochs that were shown, if the images are of one pair of them."""
    pairs = {*zip(rows["pcpo_epoch"], rows["baseline_epoch"], strict=True)}
    if len(pairs) != 1:
        return ""
    pcpo, baseline = next(iter(pairs))
    return f"\nPCPO epoch {pcpo}, baseline epoch {baseline}"
