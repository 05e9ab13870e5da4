"""Linear mixed model with a random intercept: Tables 3 and 4 of the paper (Appendix B.3.1).

Fitted by statsmodels with restricted maximum likelihood; p-values are Wald z, as the paper's are.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.formula.api as smf
from statsmodels.regression.mixed_linear_model import MixedLM

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

    Where no optimizer gives finite standard errors (fewer than two groups, no residual variance,
    as many effects as rows), the numbers are NaN, `converged` is False and `note` says why.
    Raises ValueError for a missing column, a NaN in a column that the formula uses, or a formula
    that cannot be read.
    """
    if groups not in frame.columns:
        raise ValueError(f"mixed model '{formula}': the frame has no column '{groups}' to group by")
    if not len(frame):
        raise ValueError(f"mixed model '{formula}': the frame has no rows")
    used = [c for c in frame.columns if c in formula or c == groups]
    with_nan = [c for c in used if frame[c].isna().any()]
    if with_nan:
        raise ValueError(f"mixed model '{formula}': NaN in {with_nan}; drop or repair those rows")
    frame = frame.reset_index(drop=True)  # the model aligns rows and groups by the index
    try:
        model = smf.mixedlm(formula, frame, groups=frame[groups])
    except Exception as error:
        raise ValueError(f"mixed model '{formula}': {error}") from error

    effects, n_obs = list(model.exog_names), int(model.nobs)
    n_groups = int(frame[groups].nunique())
    reason = _not_estimable(model, n_groups)
    fit, optimizer, notes = (None, "", [reason]) if reason else _fit(model)

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


def _not_estimable(model: MixedLM, n_groups: int) -> str:
    """Why the model cannot be estimated from these data, or an empty string."""
    exog, endog = model.exog, model.endog
    rank = np.linalg.matrix_rank(exog)
    if rank < exog.shape[1]:
        return f"the design has rank {rank} for {exog.shape[1]} effects: a cell has no rows"
    if n_groups < 2:
        return "fewer than two groups: no variance between groups to estimate"
    indicators = pd.get_dummies(pd.Series(model.groups)).to_numpy(dtype=float)
    both = np.hstack([exog, indicators])
    within = endog - both @ np.linalg.lstsq(both, endog, rcond=None)[0]
    if len(endog) <= np.linalg.matrix_rank(both):
        return "as many effects and groups as rows: no residual variance to estimate"
    if np.linalg.norm(within) <= 1e-10 * max(np.linalg.norm(endog), np.finfo(float).tiny):
        return "no residual variance within groups: standard errors are undefined"
    return ""


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
