"""Not in the paper: PCPO beside other readings and parts of its credit (configuration 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from pcpo.figures import style
from pcpo.figures.ablation import ablation
from pcpo.records import frames

TITLE = "Readings and parts of PCPO's credit"
CAPTION = (
    "Prediction matching with native weights, PCPO as its authors ran it, and the other readings "
    "and parts of its credit that were trained: the variance that solves Eq. (6), the constant "
    "weight over the native sampler, the variance alone, the scaled prediction, native weights "
    "without the step of largest weight. Above, left: mean reward of the images sampled in an "
    "epoch; middle: clip fraction, both sides, over all updates of an epoch; right: the same in "
    "the first, on-policy update. Below, left: share of terms whose gradient is off, one side, "
    "over all updates; middle and right: "
    f"{style.AUTHORS_COUNT} "
    "Moving average of {window} epochs."
)


@style.draws(frames.UPDATES)
def credit_ablation(
    updates: pd.DataFrame,
    experiments: Sequence[Any],
    arms: Sequence[str] = ("baseline", "pcpo", "matching"),
    window: int = style.WINDOW,
) -> Figure:
    """Figure 6's panels (`ablation`) for other arms."""
    return ablation(updates, experiments, arms, window)
