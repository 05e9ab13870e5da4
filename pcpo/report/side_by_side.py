"""The paper's number beside ours, cell by cell, from results/<scale>/compare.csv."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from pcpo.claims.words import CELL_COLUMNS, CELL_VERDICTS, NO_CLAIM
from pcpo.report.files import number, read_rows
from pcpo.tables.labels import METRICS, SCORES
from pcpo.tables.published import read_published

HEADERS = METRICS | SCORES
HEADERS |= {
    "batch_size": "Batch",
    "target_level": "Reward level",
    "reward_level": "Reward level",
    "baseline_epochs": "Baseline epochs",
    "pcpo_epochs": "PCPO epochs",
    "speedup_pct": "Speed-up, %",
    "coef": "Coefficient",
    "p_value": "p-value",
    "method_label": "Method",
    "row_type": "Row",
}


class Name(NamedTuple):
    """A row's or column's printed name, and what was really measured for it here."""

    text: str
    measured: str = ""


@dataclass(frozen=True)
class Cell:
    """One number of the paper (as printed) and ours; "" where the paper prints none."""

    paper: str = ""
    ours: str = ""
    claim: str = "none"
    verdict: str = NO_CLAIM
    reason: str = ""

    @property
    def judged(self) -> bool:
        return self.claim != "none"


@dataclass(frozen=True)
class SideBySide:
    """Rows as in the paper: their labels, then a cell for each of `quantities`."""

    labels: tuple[str, ...]
    quantities: tuple[Name, ...]
    rows: tuple[tuple[tuple[Name, ...], tuple[Cell, ...]], ...]

    @property
    def counts(self) -> dict[str, int]:
        """Number of claimed directions by verdict, in the order of `CELL_VERDICTS`."""
        found = [cell.verdict for _, cells in self.rows for cell in cells if cell.judged]
        return {verdict: found.count(verdict) for verdict in CELL_VERDICTS if verdict in found}

    @property
    def reasons(self) -> Iterator[tuple[str, str, Cell]]:
        """(row, quantity, cell) of every claimed direction."""
        for labels, cells in self.rows:
            for quantity, cell in zip(self.quantities, cells, strict=True):
                if cell.judged:
                    row = ", ".join(label.text for label in labels if label.text)
                    yield row, quantity.text, cell


def read_compared(path: Path) -> pd.DataFrame:
    """compare.csv as text, checked; ValueError with the file's name where it is not as written."""
    frame = read_rows(path, CELL_COLUMNS)
    for column, known in (("verdict", set(CELL_VERDICTS)), ("comparable", {"True", "False"})):
        for n, value in enumerate(frame[column], 1):
            if value not in known:
                raise ValueError(
                    f"{path}: row {n}, {column}: '{value}' is unknown; known: "
                    f"{', '.join(sorted(known))}"
                )
    duplicated = frame[frame.duplicated(["table", "row", "column"])]
    if len(duplicated):
        first = duplicated.iloc[0]
        raise ValueError(
            f"{path}: {first['table']}, row '{first['row']}', column '{first['column']}' occurs "
            "twice"
        )
    return frame


def side_by_side(
    name: str,
    compared: pd.DataFrame,
    published: Path,
    measured: Mapping[str, str],
    path: Path,
) -> SideBySide:
    """Table `name` of the paper with our numbers; `path` is compare.csv, for messages.

    `measured` says what replaces a metric of the paper at this scale (`Scale.quality`).

    Raises ValueError where compare.csv has a row that the paper's table lacks.
    """
    mine = compared[compared["table"] == name]
    paper = read_published(published, name)
    printed = read_rows(published / f"{name}.csv", ()).set_axis(paper.index)
    quantities = list(dict.fromkeys(mine["column"]))
    labels = [str(column) for column in printed if column not in quantities]
    if unknown := [row for row in mine["row"] if row not in printed.index]:
        raise ValueError(f"{path}: {name} has the row '{unknown[0]}', which the paper's lacks")
    cells = {}
    for n, record in zip(mine.index, mine.to_dict("records"), strict=True):
        ours = number(str(record["ours"]), path, int(n) + 1, "ours")
        text = str(printed.loc[record["row"], record["column"]]).replace("-", "−")
        cells[record["row"], record["column"]] = Cell(
            text, _text(record["column"], ours), *(str(record[c]) for c in CELL_COLUMNS[-3:])
        )
    rows = []
    for row in printed.index:
        names = tuple(
            Name(HEADERS.get(text, text), measured.get(text, ""))
            for text in printed.loc[row, labels]
        )
        rows.append((names, tuple(cells.get((row, q), Cell()) for q in quantities)))
    columns = tuple(Name(header(q), measured.get(q, "")) for q in quantities)
    return SideBySide(tuple(map(header, labels)), columns, tuple(rows))


def header(column: str) -> str:
    """The printed name of a column of config/paper."""
    return HEADERS.get(column, column.replace("_", " ").capitalize())


def _text(column: str, value: float) -> str:
    """Four significant digits, whole epochs, or "–" where nothing was measured."""
    if np.isnan(value):
        return "–"
    if column == "p_value":
        return "<0.001" if value < 0.001 else f"{value:.3f}"
    if value == 0 or (column.endswith(("epoch", "epochs")) and value.is_integer()):
        return f"{value:.0f}"
    text = f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:#.4g}".rstrip(".")
    return text.replace("-", "−")
