"""A row of Table 3 or 4, a coefficient of a mixed model, as an estimate."""

from __future__ import annotations

import math

import pandas as pd

from pcpo.claims.estimate import Estimate, half_width
from pcpo.claims.evidence import NotRun


def coefficient(row: pd.Series, absent: str) -> Estimate:
    """t interval with Satterthwaite's degrees of freedom; Wald interval where the row has none.

    Raises NotRun where nothing was fitted, with the row's note or else `absent`.
    """
    coef, note = float(row["coef"]), row.get("note")
    if math.isnan(coef):
        raise NotRun(note if isinstance(note, str) and note else absent)
    half = half_width(float(row["std_error"]), float(row.get("df", math.nan)))
    converged = str(row["converged"]) == "True"
    blocked = "" if converged else "the mixed model did not converge"
    return Estimate(coef, coef - half, coef + half, blocked=blocked)
