"""All fits of one metric of Tables 3 and 4: the paper's, the exact one, its sensitivity, and the
answer over training runs.

The paper's model takes the prompts of one training run per arm for independent values. They are
independent answers to "do these two models differ", not to "do the two algorithms": all prompts of
a run share its random effect. With several training seeds the paper's model is fitted to the means
over seeds, as it is, and the answer over runs is beside it: the same contrast of cell means
within each seed, and Student's t over the seeds. In the balanced case both have the same
coefficient.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from pcpo.stats.design import UnidentifiableError
from pcpo.stats.intervals import t_interval
from pcpo.stats.mixed_model import fit_mixed_model
from pcpo.stats.reml import fit_reml

_PAPER = ["coef", "std_error", "z", "p_value", "n_obs", "n_groups", "converged", "optimizer"]
_PAPER += ["group_variance", "residual_variance", "note"]
_SLOPE = {"std_error": "slope_std_error", "df": "slope_df", "p_satterthwaite": "p_random_slope"}
_SLOPE |= {"slope_sd": "slope_sd", "note": "slope_note"}
_RUN = ["run_coef", "run_std_error", "p_run", "p_random_run", "runs"]
COLUMNS = [*_PAPER, "df", "p_satterthwaite"]
COLUMNS += ["reml_coef", "reml_std_error", "reml_p_value", *_SLOPE.values(), *_RUN]

Cell = tuple[str, str]  # algorithm and batch size
# What a coefficient of the treatment-coded model is of the means of the cells.
CONTRASTS: dict[str, Mapping[Cell, int]] = {
    "algorithm[T.pcpo]": {("pcpo", "half"): 1, ("baseline", "half"): -1},
    "batch[T.full]": {("baseline", "full"): 1, ("baseline", "half"): -1},
    "algorithm[T.pcpo]:batch[T.full]": {
        ("pcpo", "full"): 1,
        ("baseline", "full"): -1,
        ("pcpo", "half"): -1,
        ("baseline", "half"): 1,
    },
}


def no_fit(effects: Sequence[str], note: str = "") -> pd.DataFrame:
    """What `fit_effects` returns where there is nothing to estimate: NaN and the reason."""
    rows = pd.DataFrame(np.nan, index=pd.Index(effects, name="effect"), columns=COLUMNS)
    texts = {"optimizer": "", "note": note, "slope_note": ""}
    return rows.assign(converged=False, n_obs=0, n_groups=0, runs=0, **texts)


def fit_effects(
    frame: pd.DataFrame, formula: str, effects: Sequence[str], slope: str
) -> pd.DataFrame:
    """Fit `formula` with a random intercept per `prompt`; one row for each of `effects`, the index.

    `frame` has `prompt`, `algorithm`, `batch`, `seed`, `run` (one training), `value` and what the
    formula names besides. Columns, all in `COLUMNS`:

    - `coef` to `note`: the paper's model by statsmodels (`fit_mixed_model`), of means over seeds.
    - `df`, `p_satterthwaite`: t test by the profiled REML (`fit_reml`) of the same model;
      `reml_coef`, `reml_std_error`, `reml_p_value`: its numbers, p by Wald z.
    - `slope_std_error`, `slope_df`, `p_random_slope`, `slope_sd`, `slope_note`: the same with
      (`slope` | prompt) for the intercept, p by t; NaN, and why, where that is not identified.
    - `run_coef`, `run_std_error`, `p_run`, `runs`: the contrast over training seeds, by Student's t
      with `runs` - 1 degrees of freedom; NaN with one seed. `p_random_run`: its sensitivity, the
      model over all values with a random intercept of the run crossed with the prompt's, which does
      not pair the runs of a seed.

    A model that the data do not determine gives NaN and its reason in `note`. Raises ValueError
    for a missing column, NaN, or a formula that cannot be read.
    """
    keys = ["prompt", "algorithm", "batch"]
    grouped = frame.groupby(keys, observed=True, sort=False, dropna=False)
    means = grouped["value"].mean().reset_index()
    try:
        exact = fit_reml(means, formula, "prompt").set_index("effect")
    except UnidentifiableError as error:
        return no_fit(effects, error.reason)
    found = fit_mixed_model(means, formula, "prompt").set_index("effect")
    found[["df", "p_satterthwaite"]] = exact[["df", "p_satterthwaite"]]
    for column in ("coef", "std_error", "p_value"):
        found[f"reml_{column}"] = exact[column]
    try:
        sloped = fit_reml(means, formula, "prompt", slope=slope).set_index("effect")
        found[list(_SLOPE.values())] = sloped[list(_SLOPE)]
    except UnidentifiableError as error:
        found[list(_SLOPE.values())] = np.nan
        found["slope_note"] = error.reason
    found = found.join(over_runs(frame, effects))
    found["p_random_run"] = np.nan
    if (found["runs"] > 1).any():
        try:
            crossed = fit_reml(frame, formula, "prompt", crossed="run").set_index("effect")
            found["p_random_run"] = crossed["p_satterthwaite"]
        except UnidentifiableError:
            pass  # the contrast over seeds needs no model
    return found.loc[list(effects), COLUMNS]


def over_runs(frame: pd.DataFrame, effects: Sequence[str]) -> pd.DataFrame:
    """`run_coef`, `run_std_error`, `p_run` and `runs` of each of `effects` (`CONTRASTS`).

    frame: `algorithm, batch, seed, prompt, value`. A cell's mean in a seed is over its prompts
    (and tasks). Seeds that have all cells of a contrast count; with fewer than two all is NaN. An
    effect of one batch size takes whatever batch size the frame has.
    """
    words = {c: frame[c].astype(object).fillna("").astype(str) for c in ("algorithm", "batch")}
    rows = frame.assign(**words)
    cells = rows.pivot_table("value", "seed", ["algorithm", "batch"])  # means
    only = set(rows["batch"]) if rows["batch"].nunique() == 1 else set()
    found = {}
    for effect in effects:
        contrast = {
            (algorithm, *only) if only else (algorithm, batch): sign
            for (algorithm, batch), sign in CONTRASTS[effect].items()
        }
        if not set(contrast) <= set(cells.columns):
            found[effect] = (np.nan, np.nan, np.nan, 0)
            continue
        values = sum(sign * cells[cell] for cell, sign in contrast.items()).dropna().to_numpy()
        if len(values) < 2:
            found[effect] = (np.nan, np.nan, np.nan, len(values))
            continue
        error = float(np.std(values, ddof=1) / np.sqrt(len(values)))
        p = float(stats.ttest_1samp(values, 0.0).pvalue)
        found[effect] = (t_interval(values).mean, error, p, len(values))
    columns = ["run_coef", "run_std_error", "p_run", "runs"]
    return pd.DataFrame.from_dict(found, orient="index", columns=columns)
