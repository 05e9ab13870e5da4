"""A table as it is printed: Markdown file, JSON file and report share this text."""

from __future__ import annotations

from dataclasses import dataclass

from pcpo.markdown import escaped


@dataclass(frozen=True)
class PrintedTable:
    """Title and notes are Markdown on one line each, all cells plain text.

    `numeric` says for each column whether it is aligned to the right. Raises ValueError where a
    row and the header differ in their number of cells.
    """

    title: str
    header: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        wide = len(self.header)
        if len(self.numeric) != wide:
            raise ValueError(f"numeric: {len(self.numeric)} values for {wide} columns")
        for n, row in enumerate(self.rows, 1):
            if len(row) != wide:
                raise ValueError(f"rows: row {n} has {len(row)} cells and the header {wide}")

    def to_markdown(self) -> str:
        """Pipe table with the title above and the notes below as a numbered list."""
        rule = "| " + " | ".join("--:" if right else ":--" for right in self.numeric) + " |"
        lines = [f"**{self.title}**", "", _pipe(self.header), rule, *map(_pipe, self.rows)]
        lines += ["", *(f"{i}. {note}" for i, note in enumerate(self.notes, 1))]
        return "\n".join(lines).rstrip() + "\n"


def _pipe(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(map(escaped, cells)) + " |"
