"""A table of the paper: numbers with full precision, and how they are printed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from pcpo.markdown import without_html
from pcpo.records.replace import write_texts
from pcpo.records.values import to_json
from pcpo.tables.printed import PrintedTable

MISSING = "-"

_LATEX = str.maketrans(
    {
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "\\": r"\textbackslash{}",
        "\n": " ",
    }
)


@dataclass(frozen=True)
class Column:
    """A printed column: the frame's column, its header, and a format ("{:.2f}") or a function.

    The function gets the value and its row. `measured` is printed below the header: what was really
    computed, where it differs from the paper's header. `group` omits repeated labels.
    """

    name: str
    header: str
    format: str | Callable[[Any, pd.Series], str] = "{}"
    measured: str = ""
    group: bool = False

    def text(self, row: pd.Series) -> str:
        value = row[self.name]
        if pd.isna(value) or value == "":
            return MISSING
        return self.format(value, row) if callable(self.format) else self.format.format(value)


class Body(NamedTuple):
    """What `make` of a table's file returns: a `Table` without its name and title."""

    frame: pd.DataFrame
    columns: tuple[Column, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """`frame` has the paper's rows, in its order, a stable `row` label, and more than is printed.

    Its columns have the names of config/paper/<name>.csv where they mean the same, so that the
    two can be compared. `notes` are footnotes: whole sentences.
    """

    name: str
    title: str
    frame: pd.DataFrame
    columns: tuple[Column, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        missing = [c for c in ["row", *(c.name for c in self.columns)] if c not in self.frame]
        if missing:
            raise ValueError(f"table '{self.name}': the frame lacks the columns {missing}")
        if self.frame["row"].duplicated().any():
            raise ValueError(f"table '{self.name}': two rows have the same label")

    def cells(self) -> list[list[str]]:
        """The printed text, row by row."""
        return [[c.text(row) for c in self.columns] for _, row in self.frame.iterrows()]

    def to_csv(self) -> str:
        """All columns of the frame, full precision, without the notes."""
        return self.frame.to_csv(index=False)

    def printed(self) -> PrintedTable:
        """The printed table, with a group's label on its first row only."""
        return PrintedTable(
            without_html(self.title),
            tuple(c.header + (f" ({c.measured})" if c.measured else "") for c in self.columns),
            tuple(not c.group for c in self.columns),
            tuple(map(tuple, self._thinned())),
            tuple(map(without_html, self.notes)),
        )

    def to_latex(self) -> str:
        """A `table` environment for booktabs; needs \\usepackage{booktabs} and nothing else."""
        alignment = "".join("l" if c.group else "r" for c in self.columns)
        headers = [
            rf"\shortstack{{{latex(c.header)}\\ {latex(c.measured)}}}"
            if c.measured
            else latex(c.header)
            for c in self.columns
        ]
        lines = [
            r"\begin{table}[t]",
            r"\centering",
            rf"\caption{{{latex(self.title)}}}",
            rf"\label{{tab:{self.name}}}",
            rf"\begin{{tabular}}{{{alignment}}}",
            r"\toprule",
            " & ".join(headers) + r" \\",
            r"\midrule",
        ]
        previous = None
        for cells, full in zip(self._thinned(), self.cells(), strict=True):
            if previous is not None and full[0] != previous and self.columns[0].group:
                lines.append(r"\addlinespace")
            lines.append(" & ".join(map(latex, cells)) + r" \\")
            previous = full[0]
        lines += [r"\bottomrule", r"\end{tabular}"]
        lines += [
            rf"\par{{\footnotesize\raggedright {i}. {latex(note)}\par}}"
            for i, note in enumerate(self.notes, 1)
        ]
        return "\n".join([*lines, r"\end{table}"]) + "\n"

    def write(self, prefix: str | Path) -> list[Path]:
        """Write `prefix`.csv, .md, .tex and .json (`printed`); all of them or none."""
        printed = self.printed()
        texts = {
            ".csv": self.to_csv(),
            ".md": printed.to_markdown(),
            ".tex": self.to_latex(),
            ".json": to_json(printed),
        }
        prefix = Path(prefix)
        named = {prefix.with_name(prefix.name + suffix): text for suffix, text in texts.items()}
        write_texts(named)
        return list(named)

    def _thinned(self) -> list[list[str]]:
        """The printed text, with a group's label on its first row only."""
        thinned: list[list[str]] = []
        previous: list[str | None] = [None] * len(self.columns)
        for cells in self.cells():
            shown, same = [], True
            for cell, column, above in zip(cells, self.columns, previous, strict=True):
                same = same and column.group and cell == above
                shown.append("" if same else cell)
            thinned.append(shown)
            previous = [*cells]
        return thinned


def latex(text: str) -> str:
    """`text` with LaTeX's special characters escaped."""
    return text.translate(_LATEX)
