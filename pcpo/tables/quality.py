"""Shared by Tables 2a and 2b: quality and diversity of images at a matched reward.

Distance to the base model, Inception Score, LPIPS diversity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from pcpo import metrics
from pcpo.tables import labels, matching, notes, paired
from pcpo.tables.table import Body, Column

SLOTS = ("fid", "fd_dinov2", "is_star", "lpips_diversity")


def _distance(value: Any, row: pd.Series) -> str:
    """Two decimals as in the paper; four below 1, for features of another scale."""
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.4f}"


FORMATS: dict[str, str | Callable[[Any, pd.Series], str]] = {
    "fid": _distance,
    "fd_dinov2": _distance,
    "is_star": "{:.2f}",
    "lpips_diversity": "{:.4f}",
}
_METHODS = {"baseline": "Baseline", "pcpo": "PCPO"}


def quality(
    key: Column,
    cells: dict[int, dict[str, Any]],
    experiments: Sequence[Any],
    overall: pd.DataFrame,
    per_prompt: pd.DataFrame,
    selection: pd.DataFrame,
) -> Body:
    """`SLOTS` for each configuration of `cells` x method.

    `cells` has for each configuration the columns that identify its rows; the column `cell` goes
    into the row's label. `key` is the printed column.
    """
    numbered = {n: e for n, e in labels.by_number(experiments).items() if n in cells}
    names = [e.name for e in numbered.values()]
    overall, per_prompt = (
        f[f["experiment"].isin(names) & f["arm"].isin(_METHODS)] for f in (overall, per_prompt)
    )
    slots = [*SLOTS, *(slot for slot in overall["metric"].unique() if slot not in SLOTS)]
    rows, missing, from_prompts = [], set(), set()
    for number, fields in cells.items():
        experiment = numbered.get(number)
        for arm, method in _METHODS.items():
            row = {"row": f"{fields['cell']} {arm}", "config": number} | fields
            row |= {"method": method}
            for slot in slots:
                value, averaged = _value(overall, per_prompt, experiment, arm, slot)
                if np.isnan(value):
                    missing.add(number)
                if averaged:
                    from_prompts.add(slot)
                row[slot] = value
                if arm == "pcpo":
                    row |= _per_prompt_difference(per_prompt, experiment, slot)
            row |= matching.columns(selection, [experiment] if arm == "pcpo" else [])
            rows.append(row)

    columns = [key, Column("method", "Method", group=True)]
    for slot in slots:
        measured = pd.concat(
            [f.loc[f["metric"] == slot, "measured"] for f in (overall, per_prompt)]
        )
        label = labels.measured_label(slot, measured)
        columns.append(Column(slot, _title(slot), FORMATS.get(slot, "{:.4g}"), label))
    columns += [
        Column(f"{slot}_run_difference", f"{_title(slot)}: PCPO - baseline", _over_runs(slot))
        for slot in slots
        if any(int(str(row.get(f"{slot}_runs", 0))) > 1 for row in rows)
    ]

    footnotes = notes.missing_note(sorted(missing))
    footnotes += notes.selection_notes(selection, numbered.values())
    footnotes += notes.sample_notes(overall, "Overall values")
    footnotes += [
        f"{_title(s)}: {metrics.told(s).better}." for s in slots if metrics.told(s).better
    ]
    if from_prompts:
        footnotes.append(
            f"{', '.join(_title(s) for s in slots if s in from_prompts)}: "
            "mean over prompts of the value within a prompt."
        )
    if any(column.name.endswith("_run_difference") for column in columns):
        footnotes.append(_OVER_RUNS)
    footnotes += [notes.IS_STAR, *notes.seed_note(overall)]
    return Body(pd.DataFrame(rows), tuple(columns), tuple(footnotes))


_OVER_RUNS = (
    "PCPO - baseline: mean over training seeds of the difference within a seed, itself a mean over "
    "prompts, with Student's 95 % interval over seeds; the values beside it are means over seeds."
)


def _over_runs(slot: str) -> Callable[[Any, pd.Series], str]:
    """E.g. -3.11 (-5.02 to -1.20)."""

    def text(mean: float, row: pd.Series) -> str:
        half = stats.t.ppf(0.975, row[f"{slot}_runs"] - 1) * row[f"{slot}_run_se"]
        return f"{mean:+.3g} ({mean - half:.3g} to {mean + half:.3g})"

    return text


def _title(slot: str) -> str:
    """The paper's header; for a further slot, the title of the metric that it is named after."""
    return labels.METRICS.get(slot) or metrics.told(slot).title or slot


def _value(
    overall: pd.DataFrame, per_prompt: pd.DataFrame, experiment: Any | None, arm: str, slot: str
) -> tuple[float, bool]:
    """The overall value (mean over seeds); the mean over prompts where a slot has no other."""
    if experiment is None:
        return np.nan, False
    for frame, averaged in ((overall, False), (per_prompt, True)):
        chosen = frame[
            (frame["experiment"] == experiment.name)
            & (frame["arm"] == arm)
            & (frame["metric"] == slot)
        ]
        if len(chosen) and chosen["value"].notna().any():
            return float(chosen.groupby("seed")["value"].mean().mean()), averaged
    return np.nan, False


def _per_prompt_difference(
    per_prompt: pd.DataFrame, experiment: Any | None, slot: str
) -> dict[str, float]:
    """PCPO - baseline over prompts and over runs, with standard errors."""
    name = experiment.name if experiment is not None else ""
    rows = per_prompt[(per_prompt["experiment"] == name) & (per_prompt["metric"] == slot)]
    return paired.columns(slot, rows, "pcpo", "baseline")
