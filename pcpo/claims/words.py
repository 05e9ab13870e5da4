"""Words of verdicts, kinds of claims and columns of cells, as files of results have them."""

from __future__ import annotations

from typing import Literal

JUDGED = HOLDS, FAILS, UNDECIDED, ONE_RUN = ("holds", "fails", "undecided", "one run")
NOT_RUN, NOT_MEASURED, NO_CLAIM = "not run at this scale", "not measured", "no claim"
LEDGER_VERDICTS = (*JUDGED, NOT_RUN)
CELL_VERDICTS = (*JUDGED, NOT_MEASURED, NO_CLAIM)

# Of compare.csv, a row per number of the paper's tables (`pcpo.claims.cells`).
CELL_COLUMNS = ["table", "row", "column", "paper", "ours", "scale", "comparable", "claim"]
CELL_COLUMNS += ["verdict", "reason"]

# empirical: about what training does. algebra: about the schedule of weights alone, so that no
# training could change it. convention: an empirical claim counted or measured by another definition
# than the one that it is judged by; it is shown beside that. Only empirical claims are counted.
Kind = Literal["empirical", "algebra", "convention"]

OURS = "ours"  # the source of a question that is not the paper's


def short(verdict: str) -> str:
    """Without the place: "not run" for "not run at this scale"."""
    return verdict.removesuffix(" at this scale")
