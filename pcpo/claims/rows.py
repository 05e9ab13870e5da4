"""A row of one of our tables as an estimate: over training runs where there are several.

With one run the interval is within the run: over prompts, or over resampled epochs.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd

from pcpo.claims.estimate import ONE_RUN, Estimate, half_width, runs_per_arm
from pcpo.claims.evidence import NotRun


def of_speedup(row: pd.Series, why: str) -> Estimate:
    """A row of Table 1 or 10."""
    runs = int(row["runs"])
    low, high = float(row["speedup_low"]), float(row["speedup_high"])
    return Estimate(
        float(row["speedup_pct"]),
        low,
        high,
        n=runs_per_arm(runs),
        why=why,
        runs=runs,
        df=runs - 1 if runs > 1 else math.nan,
        scale="percent",
        censored=bool(min(row["baseline_reached"], row["pcpo_reached"]) < runs),
    )


def at_level(reached: int, runs: int) -> str:
    """How many of an arm's runs reach a level: "at the level in 7 of 8 runs"."""
    if reached == 0:
        return "never at the level" if runs == 1 else f"at the level in none of {runs} runs"
    return f"at the level in {reached} of {runs} runs"


def of_coefficient(row: pd.Series, absent: str) -> Estimate:
    """A row of Table 3 or 4: t over runs, or the model over prompts where there is one run.

    Satterthwaite's degrees of freedom; Wald's interval where the row has none. Raises NotRun where
    nothing was fitted, with the row's note or else `absent`.
    """
    coef, note = float(row["coef"]), row.get("note")
    runs = int(row.get("runs", 1))
    if runs > 1:
        found = _t(float(row["run_coef"]), float(row["run_std_error"]), runs)
    elif math.isnan(coef):
        raise NotRun(note if isinstance(note, str) and note else absent)
    else:
        df = float(row.get("df", math.nan))
        half = half_width(float(row["std_error"]), df)
        converged = str(row["converged"]) == "True"
        blocked = "" if converged else "the mixed model did not converge"
        prompts = f"{int(row.get('n_groups', 0))} prompts"
        found = Estimate(coef, coef - half, coef + half, prompts, ONE_RUN, blocked=blocked, df=df)
    return _with_reference(found, row.get("reference"))


def of_difference(row: pd.Series, column: str) -> Estimate:
    """The difference of `column` in a row of Table 2, 5 or 9, a mean over prompts.

    Raises NotRun where it was not measured.
    """
    mean = float(row[f"{column}_prompt_difference"])
    error = float(row[f"{column}_prompt_difference_se"])
    prompts, runs = int(row[f"{column}_prompts"]), int(row.get(f"{column}_runs", 1))
    if math.isnan(mean):
        raise NotRun("no value in this run")
    if runs > 1:
        found = _t(float(row[f"{column}_run_difference"]), float(row[f"{column}_run_se"]), runs)
    elif math.isnan(error):
        found = Estimate(mean, n="1 prompt", why=ONE_RUN)
    else:
        half = half_width(error, prompts - 1)
        ends = (mean - half, mean + half)
        found = Estimate(mean, *ends, f"{prompts} prompts", ONE_RUN, df=prompts - 1)
    return _with_reference(found, row.get(f"{column}_reference"))


def _t(mean: float, error: float, runs: int) -> Estimate:
    half = half_width(error, runs - 1)
    return Estimate(mean, mean - half, mean + half, runs_per_arm(runs), runs=runs, df=runs - 1)


def _with_reference(found: Estimate, reference: object) -> Estimate:
    return replace(found, reference=float(str(reference))) if reference is not None else found
