"""The paper's tables from tidy frames.

    table = build("table3", experiments, {"per_prompt": ..., "selection": ...})
    table.write("results/demo/tables/table3")      # .csv, .md, .tex

(The footnote on the scale is added by `build`, so that no table can forget it.)

`TABLES` says which frames each table needs: `updates`, `overall`, `per_prompt`, `selection` and
`alignment` are those of `pcpo.records.frames`; `published` is the paper's own table.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from pcpo.paths import TABLES as INPUTS
from pcpo.tables.alignment import table5a, table5b, table9
from pcpo.tables.effects import table3, table4
from pcpo.tables.labels import scale_of
from pcpo.tables.notes import cut_notes, scale_note
from pcpo.tables.quality import table2a, table2b
from pcpo.tables.speedups import table1, table10
from pcpo.tables.table import Column, Table

__all__ = ["TABLES", "Column", "Table", "build", "needs"]


class _Entry(NamedTuple):
    function: Callable[..., Table]
    needs: tuple[str, ...]


TABLES: dict[str, _Entry] = {
    "table1": _Entry(table1, ("updates",)),
    "table2a": _Entry(table2a, ("overall", "per_prompt", "selection")),
    "table2b": _Entry(table2b, ("overall", "per_prompt", "selection")),
    "table3": _Entry(table3, ("per_prompt", "selection")),
    "table4": _Entry(table4, ("per_prompt", "selection")),
    "table5a": _Entry(table5a, ("alignment", "selection")),
    "table5b": _Entry(table5b, ("alignment", "selection")),
    "table9": _Entry(table9, ("alignment", "selection", "published")),
    "table10": _Entry(table10, ("updates",)),
}


def needs(name: str) -> tuple[str, ...]:
    """The frames that `build(name, ...)` reads; ValueError for an unknown table."""
    if name not in TABLES:
        raise ValueError(f"unknown table '{name}'; the tables are {', '.join(TABLES)}")
    return TABLES[name].needs


def build(
    name: str,
    experiments: Sequence[Any],
    frames: Mapping[str, pd.DataFrame],
    note: str = "",
    cuts: Mapping[int, Sequence[str]] | None = None,
) -> Table:
    """Make table `name`; `experiments` are `pcpo.config.Experiment`s of one scale.

    `note` is the scale's own footnote (`pcpo.config.Scale.note`), a stock sentence without one.
    `cuts` says by configuration number what the scale changed (`pcpo.config.cuts`); the table
    lists those of its own configurations.

    Raises ValueError for an unknown table and for a frame that is needed and not given.
    """
    missing = [frame for frame in needs(name) if frame not in frames]
    if missing:
        raise ValueError(f"{name} needs the frames {', '.join(missing)}")
    table = TABLES[name].function(experiments, **{f: frames[f] for f in needs(name)})
    own = {n: cuts[n] for n in INPUTS[name].experiments if n in cuts} if cuts else {}
    first = (*scale_note(scale_of(experiments), note), *cut_notes(own))
    return dataclasses.replace(table, notes=(*first, *table.notes))
