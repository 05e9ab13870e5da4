"""Linear mixed models by profiled restricted maximum likelihood, with Satterthwaite's t tests.

Agrees with R's lme4 and lmerTest, at variances of zero too (tests/r). statsmodels, whose numbers
the paper prints (`pcpo.stats.mixed_model`), inverts a joint Hessian for its standard errors and
differs from both on unbalanced data by some 1e-4 of the error.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from pcpo.stats.design import read_design, residuals
from pcpo.stats.profiled import LARGEST, ProfiledLikelihood
from pcpo.stats.random_effects import RandomTerm, check_identifiable, random_intercept, random_slope
from pcpo.stats.satterthwaite import satterthwaite_df

_BOUNDARY = 1e-5  # of a standard deviation over the residual's


def fit_reml(
    frame: pd.DataFrame, formula: str, groups: str, *, slope: str = "", crossed: str = ""
) -> pd.DataFrame:
    """Fit `formula` with a random intercept per value of `groups`, by profiled REML.

    `slope` names a column whose effect varies with the group too, correlated with the intercept:
    lme4's (slope | groups). `crossed` names a second grouping with a random intercept of its own,
    for example the training run: + (1 | crossed).

    Returns one row per fixed effect, named as by `fit_mixed_model`, with the columns
    `effect, coef, std_error, z, p_value` (two-sided, standard normal), `df, p_satterthwaite`
    (two-sided t of `z` on `df` degrees of freedom), `n_obs, n_groups, converged,
    group_variance, residual_variance` and `slope_sd, crossed_variance` (NaN without such a term;
    `slope_sd` is the first contrast's), `log_likelihood` (restricted), and `note`, which says
    where a variance is zero or a covariance singular.

    Raises ValueError for a missing column, NaN, or a formula that cannot be read, and
    `UnidentifiableError` where the data do not determine the model, saying why.
    """
    design = read_design(frame, formula, [c for c in (groups, slope, crossed) if c])
    own = random_slope(design, slope, groups) if slope else random_intercept(design, groups)
    terms = [own, *([random_intercept(design, crossed)] if crossed else [])]
    check_identifiable(design, terms)

    # In units of the residuals of least squares, so that no tolerance depends on the response's.
    start = np.linalg.lstsq(design.exog, design.endog, rcond=None)[0]
    left = residuals(design.endog, design.exog)
    freedom = len(left) - design.exog.shape[1]
    unit = float(np.linalg.norm(left)) / np.sqrt(freedom)
    likelihood = ProfiledLikelihood(left / unit, design.exog, terms)
    state, converged = likelihood.minimum()
    if np.abs(state.theta).max() >= LARGEST or not state.variance > 0:
        raise design.refuse("almost no residual variance within groups: the fit diverges")

    coef = start + unit * state.coef
    error = unit * np.sqrt(state.variance * np.diag(state.inverse))
    df = satterthwaite_df(state, np.eye(len(coef)))
    z = coef / error
    variance = unit**2 * state.variance
    covariances, notes = [], []
    for term, theta in zip(terms, likelihood.split(state.theta), strict=True):
        factor = term.factor(theta)
        covariances.append(variance * factor @ factor.T)
        notes += _boundary_note(term, factor)
    return pd.DataFrame(
        {
            "effect": list(design.effects),
            "coef": coef,
            "std_error": error,
            "z": z,
            "p_value": 2.0 * stats.norm.sf(np.abs(z)),
            "df": df,
            "p_satterthwaite": 2.0 * stats.t.sf(np.abs(z), df),
            "n_obs": len(left),
            "n_groups": terms[0].n_levels,
            "converged": converged,
            "group_variance": covariances[0][0, 0],
            "slope_sd": np.sqrt(covariances[0][1, 1]) if slope else np.nan,
            "crossed_variance": covariances[1][0, 0] if crossed else np.nan,
            "residual_variance": variance,
            "log_likelihood": -0.5 * state.deviance - freedom * np.log(unit),
            "note": "; ".join(notes if converged else [*notes, "NOT CONVERGED"]),
        }
    )


def _boundary_note(term: RandomTerm, factor: np.ndarray) -> list[str]:
    diagonal = np.abs(np.diag(factor))
    if len(diagonal) == 1:
        return [f"variance of ({term.name}) at its boundary 0"] if diagonal[0] < _BOUNDARY else []
    if diagonal.min() < _BOUNDARY * max(1.0, float(np.abs(factor).max())):
        return [f"covariance of ({term.name}) singular: a variance of 0 or a correlation of +-1"]
    return []
