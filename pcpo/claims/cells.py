"""The paper's numbers beside ours, cell by cell, with what can be said about each claim.

A claim is the direction that the paper states or prints for a cell. It is judged by a difference
within this run and that difference's own noise, never by how near our number is to the printed
one: only at scale `paper` are the two comparable at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
from scipy import stats

from pcpo.tables import TABLES
from pcpo.tables.matching import Match
from pcpo.tables.published import read_published

ALPHA = 0.05

COLUMNS = ["table", "row", "column", "paper", "ours", "scale", "comparable", "claim", "verdict"]
COLUMNS += ["reason"]
VERDICTS = ("holds", "fails", "undecided", "not measured", "no claim")

# What a claim is called, by what is estimated (`pcpo.tables.record.Kind`).
_TEXTS = {
    "speed-up": "speed-up {} 0",
    "coefficient": "coefficient {} 0",
    "pair": "PCPO {} baseline",
    "gain": "PCPO {} base",
}
# Columns of our table without which no verdict is possible.
_NEEDED = {"speed-up": ("speedup_low", "speedup_high"), "coefficient": ("converged",)}


class Claim(NamedTuple):
    """`direction` is the sign of PCPO's effect that the paper claims: 1, -1, or 0 for none."""

    text: str
    direction: int


NO_CLAIM = Claim("none", 0)


def compare(tables: Mapping[str, pd.DataFrame], published: str | Path, scale: str) -> pd.DataFrame:
    """One row per number of the paper's tables (`pcpo.tables`); columns `COLUMNS`.

    `tables` maps a table's name to its frame (`Table.frame` or the .csv written from it); a table
    that is not given is "not measured". `published` is the folder config/paper.
    `verdict` is one of `VERDICTS`; "undecided" means that the difference is within its noise, or
    that the checkpoints do not match in reward and it is not against that (`tables.matching`).
    Tables 5 and 9 are judged at the published epochs, whose rewards need not match; their rows of
    the matched pair are not judged.

    Raises FileNotFoundError where a published table is missing, ValueError for a frame without the
    columns that the verdict needs.
    """
    rows = []
    for name, record in TABLES.items():
        paper = read_published(published, name)
        ours = _indexed(tables[name], name) if name in tables else None
        for label, cells in paper.iterrows():
            for column in record.columns:
                if pd.isna(cells[column]):
                    continue
                claim = claim_of(name, paper, str(label), column)
                measured = ours is not None and label in ours.index
                value = float(_row(ours, str(label))[column]) if measured else np.nan
                verdict, reason = judge(name, ours, str(label), column, claim)
                cell = [name, label, column, float(cells[column]), value, scale]
                rows.append([*cell, scale == "paper", claim.text, verdict, reason])
    return pd.DataFrame(rows, columns=COLUMNS)


def summary(compared: pd.DataFrame) -> pd.DataFrame:
    """Number of cells per table and verdict (tables in rows, `VERDICTS` in columns)."""
    counts = pd.crosstab(compared["table"], compared["verdict"])
    order = [name for name in TABLES if name in counts.index]
    return counts.reindex(index=order, columns=list(VERDICTS), fill_value=0)


def claim_of(name: str, paper: pd.DataFrame, row: str, column: str) -> Claim:
    """What the paper says about the direction of PCPO's effect in one cell of its table `name`."""
    record = TABLES[name]
    direction = record.columns[column](paper, row, column)
    if direction == 0:
        return NO_CLAIM
    return Claim(_TEXTS[record.kind].format(">" if direction > 0 else "<"), direction)


def judge(
    name: str, ours: pd.DataFrame | None, row: str, column: str, claim: Claim
) -> tuple[str, str]:
    """Verdict and reason for one cell; `ours` is our table indexed by row label, or None."""
    if ours is None or row not in ours.index:
        return "not measured", "no such row in this run"
    cells = _row(ours, row)
    kind = TABLES[name].kind
    if TABLES[name].quotes and cells.get("source") == "published":
        return "not measured", "quoted from other work, not run"
    if claim.direction == 0:
        measured = not pd.isna(cells[column])
        return ("no claim", "") if measured else ("not measured", "no value in this run")
    if kind == "speed-up":
        direction, reason = _speedup_direction(cells)
    elif kind == "coefficient":
        direction, reason = _coefficient_direction(cells)
    else:
        reference = None if kind == "gain" else _row(ours, row.replace(" pcpo", " baseline"))
        direction, reason = _paired_direction(cells, reference, column)
    if direction is None:
        return "not measured", reason
    unmatched = cells.get("unmatched")
    if isinstance(unmatched, str) and unmatched:
        reason = f"{unmatched}; {reason}"
        metric = str(cells["metric"]) if "metric" in cells else column
        if direction != Match(unmatched, int(cells["side"])).decides(metric):
            return "undecided", reason
        if direction:
            reason = f"though unmatched, the difference in reward is against it: {reason}"
    if direction == 0:
        return "undecided", reason
    return ("holds" if direction == claim.direction else "fails"), reason


def _speedup_direction(cells: pd.Series) -> tuple[int | None, str]:
    low, high = float(cells["speedup_low"]), float(cells["speedup_high"])
    if np.isnan(low) or np.isnan(high):
        why = cells.get("no_level")
        return None, why if isinstance(
            why, str
        ) and why else "no data, or neither arm reaches the level"
    reason = f"speed-up interval {low:.1f} to {high:.1f} %"
    never = [a for a in ("baseline", "pcpo") if pd.isna(cells[f"{a}_epochs"])]
    if never:
        reason += f"; {' and '.join(never)} never at the level"
    if low > 0:
        return 1, f"{reason} lies above 0 (one run's noise only)"
    if high < 0:
        return -1, f"{reason} lies below 0 (one run's noise only)"
    return 0, f"{reason} contains 0"


def _coefficient_direction(cells: pd.Series) -> tuple[int | None, str]:
    coef, p = float(cells["coef"]), float(cells["p_value"])
    if np.isnan(coef) or np.isnan(p):
        note = cells.get("note")
        return None, str(note) if isinstance(note, str) and note else "no estimate in this run"
    if str(cells["converged"]) != "True":
        return 0, "the mixed model did not converge"
    t = float(cells.get("p_satterthwaite", np.nan))
    text = f"p = {p:.3g}" if np.isnan(t) else f"p = {t:.3g} (t; Wald z {p:.3g})"
    if (p if np.isnan(t) else t) >= ALPHA:
        return 0, f"{text} is not below {ALPHA}"
    return int(np.sign(coef)), text


def _paired_direction(
    cells: pd.Series, reference: pd.Series | None, column: str
) -> tuple[int | None, str]:
    value = float(cells[column])  # Table 9's gain is a difference already
    overall = value if reference is None else value - float(reference[column])
    mean = float(cells[f"{column}_prompt_difference"])
    error = float(cells[f"{column}_prompt_difference_se"])
    if np.isnan(overall):
        return None, "no value in this run"
    if np.isnan(mean) or np.isnan(error):
        return 0, "no noise estimate: fewer than two prompts with both arms"
    prompts = int(cells[f"{column}_prompts"])
    t = np.inf * np.sign(mean) if error == 0 and mean != 0 else mean / error if error else 0.0
    reason = f"over {prompts} prompts {mean:+.4g}, SE {error:.2g}, t = {t:.2f}"
    if abs(t) < stats.t.ppf(1 - ALPHA / 2, prompts - 1):  # as in the ledger
        return 0, f"{reason}: within noise"
    if np.sign(mean) != np.sign(overall):
        return 0, f"{reason}, but overall {overall:+.4g}: the two disagree"
    return int(np.sign(mean)), reason


def _row(frame: pd.DataFrame | None, label: str) -> pd.Series:
    assert frame is not None
    return cast("pd.Series", frame.loc[label])  # labels are unique


def _indexed(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    record = TABLES[name]
    needed: list[Any] = ["row", *record.columns, *_NEEDED.get(record.kind, ())]
    missing = [c for c in needed if c not in frame.columns]
    if missing:
        raise ValueError(f"{name}: the table lacks the columns {missing}; make it anew")
    return frame.set_index("row")
