"""The paper's numbers beside ours, cell by cell, with a verdict on each claim.

The paper states or prints a direction for some cells. `verdict` judges it by the difference of our
arms over training runs; each cell by itself, so that of a hundred cells without an effect five are
decided. It never judges how near our number is to the printed one: the two are comparable only at
scale `paper`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd

from pcpo.claims.estimate import Estimate
from pcpo.claims.evidence import NotRun
from pcpo.claims.rows import at_level, of_coefficient, of_difference, of_speedup
from pcpo.claims.verdict import Assertion, Direction, at_reward, decide
from pcpo.claims.words import CELL_COLUMNS, CELL_VERDICTS, NO_CLAIM, NOT_MEASURED
from pcpo.compared import COMPARED
from pcpo.tables import TABLES, directions
from pcpo.tables.matching import recorded
from pcpo.tables.published import read_published

# The text of a claim by the kind of estimate (`pcpo.tables.record.Kind`).
_TEXTS = {
    "speed-up": "speed-up {} 0",
    "coefficient": "coefficient {} 0",
    "pair": "PCPO {} baseline",
    "gain": "PCPO {} base",
}
# Columns of our table without which no verdict is possible.
_NEEDED = {
    "speed-up": ("speedup_low", "speedup_high", "runs", "baseline_reached", "pcpo_reached"),
    "coefficient": ("converged", "std_error", "runs", "run_coef", "run_std_error", "p_run"),
}
# The same for each column of a pair or a gain that may be judged.
_NEEDED_OF_COLUMN = (
    *("prompt_difference", "prompt_difference_se", "prompts"),
    *("runs", "run_difference", "run_se"),
)


class Statement(NamedTuple):
    """What the paper claims about PCPO's effect in one cell; no `direction`: nothing to judge."""

    text: str
    direction: Direction | None


NO_STATEMENT = Statement("none", None)


def compare(tables: Mapping[str, pd.DataFrame], published: str | Path, scale: str) -> pd.DataFrame:
    """One row per number of the paper's tables (`pcpo.tables`); columns `CELL_COLUMNS`.

    `tables` maps a table's name to its frame (`Table.frame` or the .csv written from it); a table
    that is not given is "not measured". `published` is the folder config/paper.
    `verdict` is one of `CELL_VERDICTS`; "undecided" means that the difference is within its noise,
    or that the checkpoints do not match in reward (`tables.matching`).
    Tables 5 and 9 are judged at the published epochs, whose rewards need not match; their rows of
    the matched pair are not judged.

    Raises FileNotFoundError where a published table is missing, ValueError for a frame without the
    columns that the verdict needs.
    """
    rows = []
    for name, record in TABLES.items():
        if not record.printed:
            continue
        paper = read_published(published, name)
        ours = _indexed(tables[name], name) if name in tables else None
        for label, cells in paper.iterrows():
            for column in record.columns:
                if pd.isna(cells[column]):
                    continue
                stated = statement_of(name, paper, str(label), column)
                measured = ours is not None and label in ours.index
                value = float(_row(ours, str(label))[column]) if measured else np.nan
                verdict, reason = judge(name, ours, str(label), column, stated)
                cell = [name, label, column, float(cells[column]), value, scale]
                rows.append([*cell, scale == "paper", stated.text, verdict, reason])
    return pd.DataFrame(rows, columns=CELL_COLUMNS)


def summary(compared: pd.DataFrame) -> pd.DataFrame:
    """Number of cells per table and verdict (tables in rows, `CELL_VERDICTS` in columns)."""
    counts = pd.crosstab(compared["table"], compared["verdict"])
    order = [name for name in TABLES if name in counts.index]
    return counts.reindex(index=order, columns=list(CELL_VERDICTS), fill_value=0)


def statement_of(name: str, paper: pd.DataFrame, row: str, column: str) -> Statement:
    """The direction that the paper claims for PCPO's effect in one cell of its table `name`."""
    record = TABLES[name]
    sign = record.columns[column](paper, row, column)
    if sign == 0:
        return NO_STATEMENT
    text = _TEXTS[record.kind].format(">" if sign > 0 else "<")
    return Statement(text, "higher" if sign > 0 else "lower")


def judge(
    name: str, ours: pd.DataFrame | None, row: str, column: str, stated: Statement
) -> tuple[str, str]:
    """Verdict and reason for one cell; `ours` is our table indexed by row label, or None."""
    if ours is None or row not in ours.index:
        return NOT_MEASURED, "no such row in this run"
    cells = _row(ours, row)
    kind = TABLES[name].kind
    if TABLES[name].quotes and cells.get("source") == "published":
        return NOT_MEASURED, "quoted from other work, not run"
    if stated.direction is None:
        return (NOT_MEASURED, "no value in this run") if pd.isna(cells[column]) else (NO_CLAIM, "")
    try:
        if kind == "speed-up":
            found = _speedup(cells)
        elif kind == "coefficient":
            found = _coefficient(cells)
        else:
            reference = None if kind == "gain" else _row(ours, row.replace(" pcpo", " baseline"))
            found = _paired(cells, reference, column)
    except NotRun as absent:
        return NOT_MEASURED, str(absent)
    found = at_reward(found, recorded(cells))
    word, because, *_ = decide(found, Assertion(stated.direction))
    return word, "; ".join(filter(None, [because, found.blocked, found.why]))


def _speedup(cells: pd.Series) -> Estimate:
    low, high = float(cells["speedup_low"]), float(cells["speedup_high"])
    if np.isnan(low) or np.isnan(high):
        why = cells.get("no_level")
        known = isinstance(why, str) and why
        raise NotRun(why if known else "no data, or neither arm reaches the level")
    reason = f"speed-up {cells['speedup_pct']:.1f} %, interval {low:.1f} to {high:.1f} %"
    runs = int(cells["runs"])
    for arm in COMPARED:
        if (reached := int(cells[f"{arm}_reached"])) < runs:
            reason += f"; {arm} {at_level(reached, runs)}"
    return of_speedup(cells, reason)


def _coefficient(cells: pd.Series) -> Estimate:
    found = of_coefficient(cells, "no estimate in this run")
    p, t = float(cells["p_value"]), float(cells.get("p_satterthwaite", np.nan))
    prompts = f"over prompts p = {p:.3g} (Wald z)" + ("" if np.isnan(t) else f", {t:.3g} (t)")
    if found.runs > 1:
        prompts = f"over {found.runs} runs p = {float(cells['p_run']):.3g} (t); {prompts}"
    return replace(found, why="; ".join(filter(None, [prompts, found.why])))


def _paired(cells: pd.Series, reference: pd.Series | None, column: str) -> Estimate:
    value = float(cells[column])  # Table 9's gain is a difference already
    overall = value if reference is None else value - float(reference[column])
    if np.isnan(overall):
        raise NotRun("no value in this run")
    found = of_difference(cells, column)
    reason = f"over {found.n} {found.value:+.4g} ({found.low:.4g} to {found.high:.4g})"
    blocked = ""
    if found.value * overall < 0:
        blocked = f"over all images {overall:+.4g}: the two disagree"
    why = "; ".join(filter(None, [reason, found.why]))
    return replace(found, why=why, blocked=blocked)


def _row(frame: pd.DataFrame | None, label: str) -> pd.Series:
    assert frame is not None
    return cast("pd.Series", frame.loc[label])  # labels are unique


def _indexed(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    record = TABLES[name]
    needed: list[Any] = ["row", *record.columns, *_NEEDED.get(record.kind, ())]
    if record.kind in ("pair", "gain"):
        judged = [c for c, sign in record.columns.items() if sign is not directions.none]
        needed += [f"{column}_{part}" for column in judged for part in _NEEDED_OF_COLUMN]
    missing = [c for c in needed if c not in frame.columns]
    if missing:
        raise ValueError(f"{name}: the table lacks the columns {missing}; make it again")
    return frame.set_index("row")
