"""How well the demo's models learnt: results/<scale>/synthetic/*.csv."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pcpo.report.files import read_rows
from pcpo.report.numbers import measure
from pcpo.tables.printed import PrintedTable

FILES = ("accuracy.csv", "rewards.csv", "headroom.csv")


def read_synthetic(root: Path) -> dict[str, PrintedTable]:
    """The existing tables by file, numbers to four digits."""
    found = {}
    for name in FILES:
        path = root / "synthetic" / name
        if not path.exists():
            continue
        frame = read_rows(path, ())
        numeric = tuple(bool(_numbers(frame[column]).notna().all()) for column in frame)
        for column, is_number in zip(list(frame), numeric, strict=True):
            if is_number:
                values = _numbers(frame[column])
                given = frame[column] != ""
                frame[column] = [
                    measure(v) if g else "" for v, g in zip(values, given, strict=True)
                ]
            else:
                frame[column] = frame[column].str.replace("_", " ")
        header = tuple(str(column).replace("_", " ") for column in frame)
        rows = tuple(tuple(map(str, row)) for row in frame.to_numpy())
        found[name] = PrintedTable(Path(name).stem, header, numeric, rows, ())
    return found


def _numbers(column: pd.Series) -> pd.Series:
    """Floats, 0 for empty cells, NaN for cells that are no number."""
    return pd.to_numeric(column.where(column != "", "0"), errors="coerce")
