"""The difference of two arms over the prompts that both were evaluated on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd


class PairedDifference(NamedTuple):
    """Mean of `arm - reference` over prompts, its standard error (NaN below two), their number."""

    mean: float
    standard_error: float
    pairs: int


def paired_difference(rows: pd.DataFrame, arm: str, reference: str) -> PairedDifference:
    """Compare two arms of one experiment in a frame with `arm, seed, prompt_id, value`.

    Images and training seeds of a prompt are averaged first, so the prompt is the unit: images of
    one prompt are not independent. Prompts that one of the arms lacks are left out.
    """
    means = rows.dropna(subset="value").groupby(["arm", "prompt_id"])["value"].mean()
    if not {arm, reference} <= set(means.index.get_level_values("arm")):
        return PairedDifference(np.nan, np.nan, 0)
    differences = (means.loc[arm] - means.loc[reference]).dropna()
    n = len(differences)
    if n == 0:
        return PairedDifference(np.nan, np.nan, 0)
    error = float(differences.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan
    return PairedDifference(float(differences.mean()), error, n)
