"""Not in the paper: p-values of its test over prompts between two trainings of one arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pcpo.figures import style
from pcpo.records import frames
from pcpo.stats import null_rate
from pcpo.tables.labels import METRICS

TITLE = "The paper's test between two trainings of one arm"
CAPTION = (
    "Share of pairs of training seeds of one arm whose p-value is at most x, by the test over "
    "prompts of Tables 3 and 4, for each metric. The two trainings of a pair differ in nothing but "
    "their seed, so that a valid test follows the dotted diagonal; vertical: its level of 5 %."
)

AVERAGED = False  # a pair of seeds is a value of its own
_LINES = ("-", "--", "-.", (0, (1, 1)))


@style.draws(frames.METRICS_PER_PROMPT)
def null_pairs(
    per_prompt: pd.DataFrame, experiments: Sequence[Any], arms: Sequence[str] = ()
) -> Figure:
    """One panel per experiment, a step line per metric; all trained arms."""
    figure, axes = style.panels(1, max(1, len(experiments)), height=2.1)
    pairs = null_rate.null_pairs(per_prompt)
    for column, experiment in enumerate(experiments):
        panel = axes[0, column]
        panel.set_title(style.title(experiment, style.letters(experiments)[column]))
        own = pairs[pairs["experiment"] == experiment.name]
        if own.empty:
            style.no_data(panel)
            continue
        panel.plot([0, 1], [0, 1], ":", color="0.5", linewidth=0.9)
        panel.axvline(null_rate.ALPHA, color="0.5", linewidth=0.6)
        for line, (metric, label) in zip(_LINES, METRICS.items(), strict=True):
            p = np.sort(own.loc[own["metric"] == metric, "p"].to_numpy())
            if len(p):
                x, y = np.concatenate([[0], p, [1]]), np.arange(len(p) + 1) / len(p)
                panel.step(
                    x, np.append(y, 1.0), where="post", color="k", linestyle=line, label=label
                )
        panel.set_xlim(0, 1)
        panel.set_ylim(0, 1)
        panel.set_xlabel("p")
    axes[0, 0].set_ylabel("share of pairs")
    style.legend_below(figure, axes.flat)
    return figure
