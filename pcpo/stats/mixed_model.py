"""Linear mixed model with a random intercept: Tables 3 and 4 of the paper (Appendix B.3.1).

Fitted by statsmodels with restricted maximum likelihood; p-values are Wald z, as the paper's are.
`pcpo.stats.reml` fits the same model exactly and is printed beside it where the two differ.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf
from statsmodels.regression.mixed_linear_model import MixedLM

from pcpo.stats.design import read_design
from pcpo.stats.random_effects import check_identifiable, random_intercept

# bfgs stops short of a group variance of zero and lbfgs can meet a singular matrix there; powell
# uses no gradient and reaches the boundary. Each is called by its own name: statsmodels' default
# chain may report `converged` for a fit whose retry had failed.
OPTIMIZERS = ("bfgs", "lbfgs", "powell")

# Group variance over residual variance below which the fit counts as lying on the boundary.
_BOUNDARY = 1e-4


def fit_mixed_model(frame: pd.DataFrame, formula: str, groups: str) -> pd.DataFrame:
    """Fit `formula` with one random intercept per value of the column `groups`, by REML.

    Returns one row per fixed effect, in the order of the design matrix and with its names
    ("Intercept", "algorithm[T.pcpo]", ...; the reference cell is the first category of each
    factor), with the columns
    `effect, coef, std_error, z, p_value` (two-sided, standard normal), `n_obs, n_groups,
    converged, optimizer, group_variance, residual_variance, note`. A fit that does not converge
    or is singular is repeated with the next of `OPTIMIZERS`; `note` says which ones failed and
    how, and whether the group variance is zero, where the model is ordinary least squares.

    Where no optimizer gives finite standard errors, the numbers are NaN, `converged` is False and
    `note` says why. Raises ValueError for a missing column, a NaN in a column that the formula
    uses, or a formula that cannot be read, and `UnidentifiableError` where the data do not
    determine the model (an empty cell, collinear effects, one group, one row per group, a constant
    response or one without residual variance).
    """
    design = read_design(frame, formula, [groups])
    check_identifiable(design, [random_intercept(design, groups)])
    frame = design.frame  # the model aligns rows and groups by the index
    model = smf.mixedlm(formula, frame, groups=frame[groups])

    effects, n_obs = list(model.exog_names), int(model.nobs)
    n_groups = int(frame[groups].nunique())
    fit, optimizer, notes = _fit(model)

    columns = {
        "effect": effects,
        "coef": np.nan,
        "std_error": np.nan,
        "z": np.nan,
        "p_value": np.nan,
        "n_obs": n_obs,
        "n_groups": n_groups,
        "converged": False,
        "optimizer": optimizer,
        "group_variance": np.nan,
        "residual_variance": np.nan,
    }
    if fit is not None:
        group_variance = float(np.asarray(fit.cov_re)[0, 0])
        if group_variance < _BOUNDARY * fit.scale:
            notes.append("group variance at its boundary 0: same as ordinary least squares")
        columns |= {
            "coef": fit.fe_params.to_numpy(),
            "std_error": fit.bse_fe.to_numpy(),
            "z": fit.tvalues.loc[effects].to_numpy(),
            "p_value": fit.pvalues.loc[effects].to_numpy(),
            "converged": bool(fit.converged),
            "group_variance": group_variance,
            "residual_variance": float(fit.scale),
        }
    return pd.DataFrame(columns | {"note": "; ".join(notes)})


def _fit(model: MixedLM) -> tuple[Any, str, list[str]]:
    """The first converged fit with finite standard errors; else the likeliest of the others."""
    notes, unconverged = [], []
    for optimizer in OPTIMIZERS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they say is in `converged` and `note`
            try:
                fit = model.fit(reml=True, method=[optimizer])
                finite = bool(np.isfinite(fit.bse_fe).all() and fit.scale > 0)
            except (np.linalg.LinAlgError, ValueError) as error:
                notes.append(f"{optimizer} failed ({error})")
                continue
        if not finite:
            notes.append(f"{optimizer} gave no finite standard errors")
        elif fit.converged:
            return fit, optimizer, [*notes, f"refitted with {optimizer}"] if notes else []
        else:
            notes.append(f"{optimizer} did not converge")
            unconverged.append((fit.llf, optimizer, fit))
    if not unconverged:
        return None, "", [*notes, "no optimizer gave an estimate"]
    _, optimizer, fit = max(unconverged, key=lambda entry: entry[0])
    return fit, optimizer, [*notes, f"NOT CONVERGED: the likeliest fit, by {optimizer}, is shown"]
