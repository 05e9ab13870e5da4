"""Which direction of PCPO's effect the paper claims in a cell: 1, -1, or 0 for none.

Each function takes the paper's table by row label, the row and the column (`record.Direction`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from pcpo.tables.record import Direction

SIGNIFICANT = 0.05  # the paper calls p-values below it significant


def number(paper: pd.DataFrame, row: str, column: str) -> float:
    """The printed number of a cell."""
    return float(str(paper.loc[row, column]))


def none(paper: pd.DataFrame, row: str, column: str) -> int:
    """A cell that is compared and claims nothing."""
    return 0


def printed_sign(paper: pd.DataFrame, row: str, column: str) -> int:
    return 1 if number(paper, row, column) > 0 else -1


def significant_sign(paper: pd.DataFrame, row: str, column: str) -> int:
    """Only effects that the paper calls significant are claims."""
    if number(paper, row, "p_value") >= SIGNIFICANT:
        return 0
    return printed_sign(paper, row, column)


def better_as_printed(paper: pd.DataFrame, row: str, column: str) -> int:
    """PCPO's row where its number is above the baseline's; a tie claims nothing."""
    if not row.endswith(" pcpo"):
        return 0
    baseline = row.removesuffix(" pcpo") + " baseline"
    return int(number(paper, row, column) > number(paper, baseline, column))


def stated(direction: int, row: str = "") -> Direction:
    """What the text claims for PCPO's rows, or for one row, whatever the table prints."""

    def claimed(paper: pd.DataFrame, label: str, column: str) -> int:
        return direction if label.endswith(" pcpo") and row in ("", label) else 0

    return claimed
