"""The difference of two arms over the prompts that both were evaluated on, and over their runs."""

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


def by_seed(rows: pd.DataFrame, arm: str, reference: str) -> dict[int, PairedDifference]:
    """Training seed -> `paired_difference`, for the seeds that both arms have; not NaN.

    The base model is not trained: its rows are used for every seed.
    """
    seeds = [set(rows.loc[rows["arm"] == a, "seed"]) for a in (arm, reference) if a != "base"]
    found = {}
    for seed in sorted(set.intersection(*seeds)):
        of_seed = rows[(rows["seed"] == seed) | (rows["arm"] == "base")]
        found[int(seed)] = paired_difference(of_seed, arm, reference)
    return {seed: one for seed, one in found.items() if not np.isnan(one.mean)}


def columns(name: str, rows: pd.DataFrame, arm: str, reference: str) -> dict[str, float]:
    """The columns of a table's frame from which a difference is judged (`pcpo.claims.rows`).

    `<name>_prompt_difference`, `_prompt_difference_se`, `_prompts`: over prompts, seeds averaged.
    `<name>_run_difference`, `_run_se`, `_runs`: mean over prompts of each seed's pair of runs, then
    over seeds; NaN below two. `<name>_reference`: the reference arm's mean.
    """
    over_prompts = paired_difference(rows, arm, reference)
    means = [one.mean for one in by_seed(rows, arm, reference).values()]
    several = len(means) > 1
    error = float(np.std(means, ddof=1) / np.sqrt(len(means))) if several else np.nan
    return {
        f"{name}_prompt_difference": over_prompts.mean,
        f"{name}_prompt_difference_se": over_prompts.standard_error,
        f"{name}_prompts": over_prompts.pairs,
        f"{name}_run_difference": float(np.mean(means)) if several else np.nan,
        f"{name}_run_se": error,
        f"{name}_runs": len(means),
        f"{name}_reference": float(rows.loc[rows["arm"] == reference, "value"].mean()),
    }
