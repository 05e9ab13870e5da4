"""Not in the paper: PCPO's gain over the baseline as the sum of a chain of steps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pcpo.analysis.outcomes import areas, of_shared_seeds, validation_curve
from pcpo.figures import style
from pcpo.records import frames
from pcpo.stats.intervals import t_interval

TITLE = "The parts of PCPO's gain"
CAPTION = (
    "Area under the validation curve above the base model's reward (the mean gain over training): "
    "what each step of the chain adds to the step before it, within a training seed, and below "
    "what all of them add. Dots are seeds, the mark is their mean, the bar its 95 % interval "
    "(Student's t over the seeds that all arms have). The percentages are shares of the sum, "
    "where it is above 0."
)
AVERAGED = False  # every seed is a dot
WORDS = {  # of the step to an arm
    "log_hinge": "log-hinge",
    "log_hinge_fp32": "storage dtype",
    "matching": "prediction matching",
    "drop_largest": "the largest step left out",
    "reweight": "that step back, constant credit",
    "pcpo": "the authors' sampler noise",
}


@style.draws(frames.VALIDATION)
def parts_of_gain(
    validation: pd.DataFrame, experiments: Sequence[Any], arms: Sequence[str] = ()
) -> Figure:
    """One panel per experiment, a row for each step of the chain `arms` and one for the sum.

    An arm that was not trained is left out of the chain; the step over it is named by its ends.
    """
    figure, axes = style.panels(1, max(1, len(experiments)), width=4.6, height=2.2)
    for panel, experiment, letter in zip(
        axes[0], experiments, style.letters(experiments), strict=False
    ):
        panel.set_title(style.title(experiment, letter))
        own = validation[validation["experiment"] == experiment.name]
        trained = [arm for arm in arms if (own["arm"] == arm).any()]
        steps = steps_of(own, trained)
        if not steps.size:
            style.no_data(panel)
            continue
        names = [_words(pair, arms) for pair in pairwise(trained)]
        rows = [*zip(names, steps, strict=True)]
        rows.append(("all together", steps.sum(axis=0)))
        whole = float(rows[-1][1].mean())
        for y, (_, values) in enumerate(rows):
            colour = style.colour("pcpo" if y == len(rows) - 1 else "baseline")
            panel.plot(values, np.full(len(values), y), ".", color="0.6", markersize=2.5, zorder=1)
            if len(values) > 1:
                found = t_interval(values)
                panel.plot([found.low, found.high], [y, y], color=colour, linewidth=1.3, zorder=2)
            panel.plot(values.mean(), y, "D", color=colour, markersize=3.5, zorder=3)
        shares = [
            f"{name} ({values.mean() / whole:+.0%})" if whole > 0 else name for name, values in rows
        ]
        panel.axvline(0, color="0.4", linestyle="--", linewidth=0.8)
        panel.set_yticks(range(len(rows)), shares)
        panel.tick_params(axis="y", labelsize=6)
        panel.invert_yaxis()
        panel.set_xlabel("added gain")
    return figure


def _words(step: tuple[str, str], chain: Sequence[str]) -> str:
    before, after = step
    if step in pairwise(chain) and after in WORDS:
        return WORDS[after]
    return f"{style.LABELS.get(before, before)} to {style.LABELS.get(after, after)}"


def steps_of(validation: pd.DataFrame, chain: Sequence[str]) -> np.ndarray:
    """What each step adds (steps, seeds), of the seeds that all arms of the chain have.

    validation: of one experiment. Empty where an arm or a shared seed is missing.
    """
    curves = [
        {
            int(str(seed)): validation_curve(run)
            for seed, run in validation[validation["arm"] == arm].groupby("seed")
        }
        for arm in chain
    ]
    shared = of_shared_seeds(*curves) if curves else []
    if len(shared) < 2 or not shared[0]:
        return np.zeros((0, 0))
    every = areas(shared)
    return np.array([after - before for before, after in pairwise(every)])
