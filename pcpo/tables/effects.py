"""Tables 3 and 4: the mixed models of the per-prompt metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pcpo.stats.mixed_model import fit_mixed_model
from pcpo.tables import labels, notes
from pcpo.tables.quality import SLOTS
from pcpo.tables.table import Column, Table

# The paper's row -> statsmodels' name of the coefficient.
_EFFECTS = {
    "Algorithm": "algorithm[T.pcpo]",
    "Batch Size": "batch[T.full]",
    "Interaction": "algorithm[T.pcpo]:batch[T.full]",
}
_BATCHES = {1: "half", 2: "full", 3: "half", 4: "full"}
_TASKS = {1: "aesthetic", 2: "aesthetic", 3: "bertscore", 4: "bertscore"}
_FIT = ["coef", "std_error", "z", "p_value", "n_obs", "n_groups", "converged", "optimizer"]
_FIT += ["group_variance", "residual_variance", "note"]


def p_text(p: float, _row: pd.Series | None = None) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _coef_text(coef: float, row: pd.Series) -> str:
    return f"{coef:.4f}" if row["metric"] == "lpips_diversity" else f"{coef:.3f}"


def table3(
    experiments: Sequence[Any], *, per_prompt: pd.DataFrame, selection: pd.DataFrame
) -> Table:
    """value ~ algorithm * batch + (1 | prompt), configurations 1 and 2; beside it 1 to 4."""
    numbered = labels.by_number(experiments)
    data = _design(numbered, per_prompt, (1, 2, 3, 4))
    formula = "value ~ algorithm * batch"
    blocks = {"": [1, 2], "_two_tasks": [1, 2, 3, 4]}
    rows = {(e, s): {"row": f"{e} {s}", "effect": e, "metric": s} for e in _EFFECTS for s in SLOTS}
    absent = [n for n in _BATCHES if n not in set(data["config"])]
    footnotes = notes.missing_note(absent)
    for suffix, numbers in blocks.items():
        what = "two tasks" if suffix else "one task"
        incomplete = any(number in absent for number in numbers)
        for slot in SLOTS:
            values = data[data["config"].isin(numbers) & (data["metric"] == slot)]
            fit = _fit(values, formula, tuple(_EFFECTS.values()), skip=incomplete)
            footnotes += _fit_notes(f"{labels.METRICS[slot]}, {what}", fit)
            for effect, coefficient in _EFFECTS.items():
                found = fit.loc[coefficient, _FIT].to_dict()
                rows[effect, slot] |= {f"{k}{suffix}": v for k, v in found.items()}
    for row in rows.values():  # of the main columns
        row["unmatched"] = notes.unmatched(selection, [numbered.get(n) for n in blocks[""]])
    columns = (
        Column("effect", "Effect", group=True),
        _metric_column(),
        Column("coef", "Coeff.", _coef_text),
        Column("p_value", "p-value", p_text),
        Column("coef_two_tasks", "Coeff. (two tasks)", _coef_text),
        Column("p_value_two_tasks", "p-value (two tasks)", p_text),
    )
    footnotes += [
        notes.MODEL_3,
        notes.TWO_TASKS,
        *_data_notes(data, numbered, selection, per_prompt),
        notes.TABLE_3_SLIP,
    ]
    title = "DDPO: effects of algorithm and batch size on the metrics of a prompt."
    return Table("table3", title, pd.DataFrame(rows.values()), columns, tuple(footnotes))


def table4(
    experiments: Sequence[Any], *, per_prompt: pd.DataFrame, selection: pd.DataFrame
) -> Table:
    """value ~ algorithm + (1 | prompt), for each of the configurations 5 and 6."""
    numbered = labels.by_number(experiments)
    data = _design(numbered, per_prompt, (5, 6))
    absent = [n for n in (5, 6) if n not in set(data["config"])]
    rows, footnotes = [], notes.missing_note(absent)
    for number in (5, 6):
        model = labels.model_label(number, numbered.get(number))
        for slot in SLOTS:
            values = data[(data["config"] == number) & (data["metric"] == slot)]
            effect = _EFFECTS["Algorithm"]
            fit = _fit(values, "value ~ algorithm", (effect,), skip=number in absent)
            footnotes += _fit_notes(f"{model}, {labels.METRICS[slot]}", fit)
            row = {"row": f"{model} {slot}", "config": number, "model": model, "metric": slot}
            row["unmatched"] = notes.unmatched(selection, [numbered.get(number)])
            rows.append(row | fit.loc[effect, _FIT].to_dict())
    columns = (
        Column("model", "Model", group=True),
        _metric_column(),
        Column("coef", "Coeff.", _coef_text),
        Column("p_value", "p-value", p_text),
    )
    footnotes += [
        notes.MODEL_4,
        *_data_notes(data, numbered, selection, per_prompt),
    ]
    title = "DanceGRPO: effect of PCPO on the metrics of a prompt."
    return Table("table4", title, pd.DataFrame(rows), columns, tuple(footnotes))


def _metric_column() -> Column:
    return Column("metric", "Metric", lambda slot, _row: labels.METRICS[slot], group=True)


def _design(
    numbered: dict[int, Any], per_prompt: pd.DataFrame, numbers: Sequence[int]
) -> pd.DataFrame:
    """Long table of the two arms: config, metric, measured, images, algorithm, batch, group, value.

    Training seeds are averaged, so that a prompt has one value per cell.
    """
    names = {numbered[n].name: n for n in numbers if n in numbered}
    chosen = per_prompt[
        per_prompt["experiment"].isin(names) & per_prompt["arm"].isin(["baseline", "pcpo"])
    ]
    chosen = chosen.dropna(subset="value")
    keys = ["experiment", "arm", "metric", "prompt_id"]
    data = chosen.groupby(keys, as_index=False).agg(value=("value", "mean"))
    data["config"] = data["experiment"].map(names).astype("int64")
    data["algorithm"] = pd.Categorical(data["arm"], ["baseline", "pcpo"])
    data["batch"] = pd.Categorical(data["config"].map(_BATCHES), ["half", "full"])
    task = data["config"].map(_TASKS).fillna("")
    data["prompt"] = task.astype(str) + ":" + data["prompt_id"].astype(str)
    return data


def _fit(data: pd.DataFrame, formula: str, effects: tuple[str, ...], skip: bool) -> pd.DataFrame:
    """`fit_mixed_model` by effect; all NaN where there is nothing to fit."""
    if skip or data.empty:
        empty = pd.DataFrame(np.nan, index=list(effects), columns=_FIT).astype(object)
        return empty.assign(converged=False, optimizer="", note="", n_obs=0, n_groups=0)
    return fit_mixed_model(data, formula, "prompt").set_index("effect")


def _fit_notes(what: str, fit: pd.DataFrame) -> list[str]:
    note = fit["note"].iloc[0]
    return [f"{what}: {note}."] if note else []


def _data_notes(
    data: pd.DataFrame, numbered: dict[int, Any], selection: pd.DataFrame, per_prompt: pd.DataFrame
) -> list[str]:
    used = [numbered[n] for n in sorted(set(data["config"]))]
    names = [e.name for e in used]
    metrics = per_prompt[
        per_prompt["experiment"].isin(names) & per_prompt["arm"].isin(["baseline", "pcpo"])
    ]
    found = []
    dropped = int(metrics["value"].isna().sum())
    if dropped:
        found.append(f"{dropped} values that could not be computed are left out.")
    measured = metrics.groupby("metric")["measured"].unique()
    for slot in SLOTS:
        if slot in measured.index:
            label = labels.measured_label(slot, measured[slot])
            if label:
                found.append(f"{labels.METRICS[slot]} here: {label}.")
    found += notes.sample_notes(metrics, "Per prompt")
    found += notes.selection_notes(selection, used)
    return [*found, notes.IS_STAR, *notes.seed_note(metrics)]
