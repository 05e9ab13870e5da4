"""What the other parts know about a table without making it.

This module and the records load neither pandas nor numpy: the Snakefile reads them at every start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pcpo.figures.registry import lacking_images
from pcpo.paths import EXPERIMENT_FRAMES

if TYPE_CHECKING:
    import pandas as pd

# The estimate in a judged cell, and the columns of our table by which `pcpo.claims.cells` judges:
#   speed-up      percent: speedup_low, speedup_high, runs, baseline_reached, pcpo_reached
#   coefficient   of a mixed model: coef, p_value, std_error, converged; over runs: runs, run_coef,
#                 run_std_error, p_run
#   pair          the row "... pcpo" minus the row "... baseline", for each judged column
#                 <column>_prompt_difference, _prompt_difference_se, _prompts, _runs,
#                 _run_difference, _run_se (`pcpo.tables.paired`)
#   gain          PCPO minus the base model, in one row: the same columns
Kind = Literal["speed-up", "coefficient", "pair", "gain"]
# (the paper's table by row label, row, column) -> the sign of PCPO's effect that the paper claims
# for this cell: 1, -1, or 0 for none. `pcpo.tables.directions` has the functions of this kind.
Direction = Callable[["pd.DataFrame", str, str], int]


@dataclass(frozen=True)
class Record:
    """A table of the paper.

    The function `make(experiments, **frames)` of the same file returns a `pcpo.tables.table.Body`.
    It gets the frames in `frames`, and with `quotes` the paper's own table as `published`.
    """

    title: str
    caption: str  # what it shows, in a sentence or two; its notes say how it was made
    experiments: tuple[int, ...]  # numbers of the configurations
    frames: tuple[str, ...]  # names of `pcpo.records.frames`
    kind: Kind
    columns: Mapping[str, Direction]  # in the paper's table and in ours, compared cell by cell
    labels: Callable[[pd.DataFrame], Iterable[str]]  # of the rows of config/paper/<name>.csv
    also: tuple[str, ...] = ()  # arms shown beside baseline and PCPO where a scale trains them
    quotes: bool = False  # whether rows of the paper that were not run are repeated
    printed: bool = True  # False: not in the paper, so that no cell is compared

    @property
    def needs(self) -> tuple[str, ...]:
        """The keyword arguments of `make`."""
        return (*self.frames, *(("published",) if self.quotes else ()))

    def lacks(self, experiments: Iterable[Any]) -> str:
        """The images that it is of and the experiments lack at their scale; "" where nothing."""
        of_images = {*self.frames} & {*EXPERIMENT_FRAMES}
        return lacking_images(self.experiments if of_images else (), experiments)
