"""Shared by Tables 2a and 2b: quality and diversity of images at a matched reward.

Distance to the base model, Inception Score, LPIPS diversity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pcpo import metrics
from pcpo.tables import labels, matching, notes, paired
from pcpo.tables.table import Body, Column

METRIC_COLUMNS = ("fid", "fd_dinov2", "is_star", "lpips_diversity")


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
    """`METRIC_COLUMNS` of each configuration of `cells` x method.

    `cells` has for each configuration the columns that identify its rows; the column `cell` goes
    into the row's label. `key` is the printed column.
    """
    numbered = {n: e for n, e in labels.by_number(experiments).items() if n in cells}
    names = [e.name for e in numbered.values()]
    overall, per_prompt = (
        f[f["experiment"].isin(names) & f["arm"].isin(_METHODS)] for f in (overall, per_prompt)
    )
    further = [metric for metric in overall["metric"].unique() if metric not in METRIC_COLUMNS]
    shown = [*METRIC_COLUMNS, *further]
    rows, missing, from_prompts = [], set(), set()
    for number, fields in cells.items():
        experiment = numbered.get(number)
        for arm, method in _METHODS.items():
            row = {"row": f"{fields['cell']} {arm}", "number": number} | fields
            row |= {"method": method}
            for metric in shown:
                value, averaged = _value(overall, per_prompt, experiment, arm, metric)
                if np.isnan(value):
                    missing.add(number)
                if averaged:
                    from_prompts.add(metric)
                row[metric] = value
                if arm == "pcpo":
                    row |= _per_prompt_difference(per_prompt, experiment, metric)
            row |= matching.columns(selection, [experiment] if arm == "pcpo" else [])
            rows.append(row)

    columns = [key, Column("method", "Method", group=True)]
    for metric in shown:
        measured = pd.concat(
            [f.loc[f["metric"] == metric, "measured"] for f in (overall, per_prompt)]
        )
        label = labels.measured_label(metric, measured)
        columns.append(Column(metric, _title(metric), FORMATS.get(metric, "{:.4g}"), label))
    columns += [
        Column(f"{m}_run_difference", f"{_title(m)}: PCPO - baseline", _over_runs(m))
        for m in shown
        if any(int(str(row.get(f"{m}_runs", 0))) > 1 for row in rows)
    ]

    footnotes = notes.missing_note(sorted(missing))
    footnotes += notes.selection_notes(selection, numbered.values())
    footnotes += notes.sample_notes(overall, "Overall values")
    footnotes += [
        f"{_title(metric)}: {better}."
        for metric in shown
        if (better := metrics.column_text(metric).better)
    ]
    if from_prompts:
        footnotes.append(
            f"{', '.join(_title(m) for m in shown if m in from_prompts)}: "
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


def _over_runs(metric: str) -> Callable[[Any, pd.Series], str]:
    """E.g. -3.11 (-5.02 to -1.20)."""

    def text(mean: float, row: pd.Series) -> str:
        from scipy import stats  # here: only a table of several seeds has this column

        from pcpo.stats.intervals import COVERAGE

        half = stats.t.ppf(0.5 + COVERAGE / 2, row[f"{metric}_runs"] - 1) * row[f"{metric}_run_se"]
        return f"{mean:+.3g} ({mean - half:.3g} to {mean + half:.3g})"

    return text


def _title(metric: str) -> str:
    """The paper's header; for a further column, the title of the metric that it is named after."""
    return labels.METRICS.get(metric) or metrics.column_text(metric).title or metric


def _value(
    overall: pd.DataFrame, per_prompt: pd.DataFrame, experiment: Any | None, arm: str, metric: str
) -> tuple[float, bool]:
    """The overall value (mean over seeds); the mean over prompts where a column has no other."""
    if experiment is None:
        return np.nan, False
    for frame, averaged in ((overall, False), (per_prompt, True)):
        chosen = frame[
            (frame["experiment"] == experiment.name)
            & (frame["arm"] == arm)
            & (frame["metric"] == metric)
        ]
        if len(chosen) and chosen["value"].notna().any():
            return float(chosen.groupby("seed")["value"].mean().mean()), averaged
    return np.nan, False


def _per_prompt_difference(
    per_prompt: pd.DataFrame, experiment: Any | None, metric: str
) -> dict[str, float]:
    """PCPO - baseline over prompts and over runs, with standard errors."""
    name = experiment.name if experiment is not None else ""
    rows = per_prompt[(per_prompt["experiment"] == name) & (per_prompt["metric"] == metric)]
    return paired.columns(metric, rows, "pcpo", "baseline")
