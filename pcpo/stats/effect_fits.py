"""All fits of one metric of Tables 3 and 4: the paper's own, the exact one, and its sensitivity.

Several training seeds: the values of one training run share its random effect. The run (one arm,
configuration and seed) therefore gets a random intercept, crossed with the prompt's. Runs are not
paired by their seed number: two arms with one seed share initial noise, not a trajectory. The
number of runs, not of prompts, then limits the degrees of freedom, as it must.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pcpo.stats.design import UnidentifiableError
from pcpo.stats.mixed_model import fit_mixed_model
from pcpo.stats.reml import fit_reml

_PAPER = ["coef", "std_error", "z", "p_value", "n_obs", "n_groups", "converged", "optimizer"]
_PAPER += ["group_variance", "residual_variance", "note"]
_SLOPE = {"std_error": "slope_std_error", "df": "slope_df", "p_satterthwaite": "p_random_slope"}
_SLOPE |= {"slope_sd": "slope_sd", "note": "slope_note"}
COLUMNS = [*_PAPER, "run_variance", "df", "p_satterthwaite"]
COLUMNS += ["reml_coef", "reml_std_error", "reml_p_value", *_SLOPE.values()]

SEVERAL_RUNS = "profiled REML, random run"  # the `optimizer` where statsmodels is not used


def no_fit(effects: Sequence[str], note: str = "") -> pd.DataFrame:
    """What `fit_effects` returns where there is nothing to estimate: NaN and the reason."""
    rows = pd.DataFrame(np.nan, index=pd.Index(effects, name="effect"), columns=COLUMNS)
    texts = {"optimizer": "", "note": note, "slope_note": ""}
    return rows.assign(converged=False, n_obs=0, n_groups=0, **texts)


def fit_effects(
    frame: pd.DataFrame, formula: str, effects: Sequence[str], slope: str
) -> pd.DataFrame:
    """Fit `formula` with a random intercept per `prompt`; one row for each of `effects`, the index.

    `frame` has `prompt`, `number`, `algorithm`, `run` (one training) and what the formula names.
    Columns, all in `COLUMNS`:

    - `coef` to `note`: the paper's model by statsmodels (`fit_mixed_model`). Where a cell has
      several runs, it is the profiled REML with a random run instead, `run_variance` is that
      run's, and `optimizer` says so.
    - `df`, `p_satterthwaite`: t test by the profiled REML (`fit_reml`) of the same model;
      `reml_coef`, `reml_std_error`, `reml_p_value`: its numbers, p by Wald z.
    - `slope_std_error`, `slope_df`, `p_random_slope`, `slope_sd`, `slope_note`: the same with
      (`slope` | prompt) for the intercept, p by t; NaN, and why, where that is not identified.

    A model that the data do not determine gives NaN and its reason in `note`. Raises ValueError
    for a missing column, NaN, or a formula that cannot be read.
    """
    cells = frame[["number", "algorithm"]].drop_duplicates()
    several = frame["run"].nunique() > len(cells)
    crossed = "run" if several else ""
    try:
        exact = fit_reml(frame, formula, "prompt", crossed=crossed).set_index("effect")
    except UnidentifiableError as error:
        return no_fit(effects, error.reason)
    if several:
        found = exact.assign(optimizer=SEVERAL_RUNS, run_variance=exact["crossed_variance"])
    else:
        found = fit_mixed_model(frame, formula, "prompt").set_index("effect")
        found["run_variance"] = np.nan
    found[["df", "p_satterthwaite"]] = exact[["df", "p_satterthwaite"]]
    for column in ("coef", "std_error", "p_value"):
        found[f"reml_{column}"] = exact[column]
    try:
        sloped = fit_reml(frame, formula, "prompt", slope=slope, crossed=crossed)
        found[list(_SLOPE.values())] = sloped.set_index("effect")[list(_SLOPE)]
    except UnidentifiableError as error:
        found[list(_SLOPE.values())] = np.nan
        found["slope_note"] = error.reason
    return found.loc[list(effects), COLUMNS]
