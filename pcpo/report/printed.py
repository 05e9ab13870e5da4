"""Our tables as they were printed: results/<scale>/tables/<table>.md, title, cells and notes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pcpo.markdown import plain
from pcpo.report.files import read_text


@dataclass(frozen=True)
class PrintedTable:
    """`numeric` says for each column whether it stands to the right."""

    title: str
    header: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def read_printed(path: Path) -> PrintedTable:
    """Read what `pcpo.tables.Table.to_markdown` wrote.

    Raises ValueError with the file's name where title, header or a row is not as written there.
    """
    lines = read_text(path).split("\n")
    title = re.fullmatch(r"\*\*(.+)\*\*", lines[0]) if lines else None
    pipes = [_cells(line) for line in lines if line.startswith("|")]
    if title is None or len(pipes) < 2:
        raise ValueError(f"{path}: not a printed table (**title**, then | rows |); make it anew")
    header, rule, *rows = pipes
    if len(rule) != len(header) or not all(re.fullmatch(r":?-+:?", cell) for cell in rule):
        raise ValueError(f"{path}: the line below the header is not a rule; make it anew")
    for n, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise ValueError(
                f"{path}: row {n} has {len(row)} cells and the header {len(header)}; make it anew"
            )
    notes = [m[1] for m in (re.fullmatch(r"\d+\. (.*)", line) for line in lines) if m]
    numeric = tuple(cell.endswith(":") for cell in rule)
    return PrintedTable(title[1], tuple(header), numeric, tuple(map(tuple, rows)), tuple(notes))


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [plain(cell.strip()) for cell in re.split(r"(?<!\\)\|", inner)]
