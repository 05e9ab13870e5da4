"""Shared by Tables 3 and 4: the mixed models of the per-prompt metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from pcpo.compared import COMPARED
from pcpo.stats.effect_fits import fit_effects, no_fit
from pcpo.stats.holm import holm
from pcpo.tables import labels, notes
from pcpo.tables.quality import METRIC_COLUMNS
from pcpo.tables.table import Column

# The paper's row -> statsmodels' name of the coefficient.
EFFECTS = {
    "Algorithm": "algorithm[T.pcpo]",
    "Batch Size": "batch[T.full]",
    "Interaction": "algorithm[T.pcpo]:batch[T.full]",
}
_BATCHES = {1: "half", 2: "full", 3: "half", 4: "full"}
_TASKS = {1: "aesthetic", 2: "aesthetic", 3: "bertscore", 4: "bertscore"}
_DIFFERENT = 1e-4  # in standard errors: from here two fits of one model count as different

P_VALUES = (
    "p-value: Wald z, as the paper's. p (t): Student's t with Satterthwaite's degrees of freedom, "
    "from the profiled REML that agrees with R's lme4 and lmerTest. p (Holm): p (t) corrected for "
    "the metrics of one {family}."
)
SLOPE = (
    "p (random slope): sensitivity of p (t) to an effect of the algorithm that differs by prompt, "
    "(algorithm | prompt) in place of the random intercept, by the profiled REML."
)
_SEEDS = (
    "Several training seeds: the coefficient, p-value and p (t) are of the paper's model on means "
    "over seeds, and take prompts for independent values. 'Over runs' is the same contrast within "
    "each seed, with Student's t over the seeds: its p answers whether another training would show "
    "the effect, and verdicts are of it. Where configurations are compared, only the seeds "
    "that all of them have are used. p (random run): sensitivity, a mixed model with a random "
    "intercept of the run beside the prompt's, which does not pair the runs of a seed."
)


def run_columns(rows: Sequence[dict[str, Any]], suffix: str = "") -> list[Column]:
    """The answer over training runs, where there are at least two seeds."""
    if not any(row[f"runs{suffix}"] > 1 for row in rows):
        return []
    return [
        Column(f"run_coef{suffix}", "Over runs", coef_text),
        Column(f"run_std_error{suffix}", "SE (runs)", coef_text),
        Column(f"p_run{suffix}", "p (runs)", p_text),
        Column(f"p_random_run{suffix}", "p (random run)", p_text),
    ]


def p_text(p: float, _row: pd.Series | None = None) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def coef_text(coef: float, row: pd.Series) -> str:
    return f"{coef:.4f}" if row["metric"] == "lpips_diversity" else f"{coef:.3f}"


def p_columns() -> list[Column]:
    return [
        Column("p_value", "p-value", p_text),
        Column("p_satterthwaite", "p (t)", p_text),
        Column("p_holm", "p (Holm)", p_text),
    ]


def correct(rows: list[dict[str, Any]], suffix: str = "") -> None:
    """Holm's correction over the metrics: adds `p_holm` to the rows of one effect."""
    adjusted = holm([row[f"p_satterthwaite{suffix}"] for row in rows])
    for row, p in zip(rows, adjusted, strict=True):
        row[f"p_holm{suffix}"] = p


def metric_column() -> Column:
    return Column("metric", "Metric", lambda metric, _row: labels.METRICS[metric], group=True)


def design(
    numbered: dict[int, Any], per_prompt: pd.DataFrame, numbers: Sequence[int]
) -> pd.DataFrame:
    """Long table of the two arms: number, metric, algorithm, batch, prompt, seed, run, value."""
    names = {numbered[n].name: n for n in numbers if n in numbered}
    chosen = per_prompt[per_prompt["experiment"].isin(names) & per_prompt["arm"].isin(COMPARED)]
    keys = ["experiment", "arm", "seed", "metric", "prompt_id"]
    data = chosen.dropna(subset="value")[[*keys, "value"]].reset_index(drop=True)
    data["number"] = data["experiment"].map(names).astype("int64")
    data["algorithm"] = pd.Categorical(data["arm"], COMPARED)
    data["batch"] = pd.Categorical(data["number"].map(_BATCHES), ["half", "full"])
    task = data["number"].map(_TASKS).fillna("")
    data["prompt"] = task.astype(str) + ":" + data["prompt_id"].astype(str)
    data["run"] = data["experiment"] + ":" + data["arm"] + ":" + data["seed"].astype(str)
    return data


def of_shared_seeds(data: pd.DataFrame) -> pd.DataFrame:
    """The rows of a `design` of the training seeds that each arm of each configuration has.

    A mean over several configurations would otherwise be of other ones in some seeds.
    """
    seeds = [set(cell) for _, cell in data.groupby(["number", "arm"])["seed"]]
    return data[data["seed"].isin(set.intersection(*seeds))] if seeds else data


def fit(data: pd.DataFrame, formula: str, effects: tuple[str, ...], skip: bool) -> pd.DataFrame:
    """`fit_effects` of the training seeds that all have; all NaN where there is nothing to fit."""
    shared = of_shared_seeds(data)
    if skip or shared.empty:
        return no_fit(effects)
    return fit_effects(shared, formula, effects, slope="algorithm")


def fit_notes(fits: dict[str, pd.DataFrame]) -> list[str]:
    """The fits' own notes, and where statsmodels and the profiled REML differ."""
    found = [f"{what}: {fit['note'].iloc[0]}." for what, fit in fits.items() if fit["note"].iloc[0]]
    compared, differing = 0, []
    for what, fit in fits.items():
        numbers = fit[["coef", "std_error", "reml_coef", "reml_std_error"]].astype(float)
        if numbers["reml_coef"].isna().any():
            continue
        compared += 1
        if numbers["coef"].isna().any():
            differing.append(f"{what}, no estimate by statsmodels")
            continue
        error = numbers["reml_std_error"]
        coef = (numbers["coef"] - numbers["reml_coef"]).abs() / error
        width = (numbers["std_error"] - error).abs() / error
        shift = pd.concat([coef, width], axis=1).max(axis=1)
        most = fit.loc[str(shift.idxmax())]
        if shift.max() > _DIFFERENT:
            differing.append(
                f"{what}, coefficient {most['coef']:.5g} / {most['reml_coef']:.5g}, standard "
                f"error {most['std_error']:.5g} / {most['reml_std_error']:.5g}, Wald p "
                f"{most['p_value']:.3g} / {most['reml_p_value']:.3g}"
            )
    if differing:
        found.append(f"statsmodels / profiled REML, where they differ: {'; '.join(differing)}.")
    elif compared:
        found.append(
            f"statsmodels and the profiled REML agree to {_DIFFERENT:g} of a standard error in all "
            f"{compared} models."
        )
    return found


def data_notes(
    data: pd.DataFrame, numbered: dict[int, Any], selection: pd.DataFrame, per_prompt: pd.DataFrame
) -> list[str]:
    used = [numbered[n] for n in sorted(set(data["number"]))]
    names = [e.name for e in used]
    metrics = per_prompt[per_prompt["experiment"].isin(names) & per_prompt["arm"].isin(COMPARED)]
    found = []
    dropped = int(metrics["value"].isna().sum())
    if dropped:
        found.append(f"{dropped} values that could not be computed are left out.")
    measured = metrics.groupby("metric")["measured"].unique()
    for metric in METRIC_COLUMNS:
        if metric in measured.index:
            label = labels.measured_label(metric, measured[metric])
            if label:
                found.append(f"{labels.METRICS[metric]} here: {label}.")
    found += notes.sample_notes(metrics, "Per prompt")
    found += notes.selection_notes(selection, used)
    seeds = [_SEEDS] if _several_runs(data) else []
    return [*found, notes.IS_STAR, *seeds, *notes.seed_note(metrics)]


def _several_runs(data: pd.DataFrame) -> bool:
    return bool(data["run"].nunique() > len(data[["number", "arm"]].drop_duplicates()))
