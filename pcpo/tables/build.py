"""Draw one of the tables of this folder from tidy frames."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pcpo.tables import TABLES, Record
from pcpo.tables.labels import scale_of
from pcpo.tables.notes import difference_notes, scale_note
from pcpo.tables.table import Table


def needs(name: str) -> tuple[str, ...]:
    """The frames that `build(name, ...)` reads; ValueError for an unknown table.

    They are frames of `pcpo.records.frames`, and `published`, the paper's own table.
    """
    return _record(name).needs


def build(
    name: str,
    experiments: Sequence[Any],
    frames: Mapping[str, pd.DataFrame],
    note: str = "",
    differences: Mapping[int, Sequence[str]] | None = None,
) -> Table:
    """Make table `name`; `experiments` are `pcpo.config.Experiment`s of one scale.

    `note` is the scale's own footnote (`pcpo.config.Scale.note`). It is added here, so that no
    table can omit it. `differences` lists by configuration number what the scale changed
    (`pcpo.config.scale_differences`); the table prints those of its own configurations.

    Raises ValueError for an unknown table and for a frame that is needed and not given.
    """
    record = _record(name)
    missing = [frame for frame in record.needs if frame not in frames]
    if missing:
        raise ValueError(f"{name} needs the frames {', '.join(missing)}")
    make = importlib.import_module(f"pcpo.tables.{name}").make
    body = make(experiments, **{frame: frames[frame] for frame in record.needs})
    own = {n: differences[n] for n in record.experiments if n in differences} if differences else {}
    first = (*scale_note(scale_of(experiments), note), *difference_notes(own))
    return Table(name, record.title, body.frame, body.columns, (*first, *body.notes))


def _record(name: str) -> Record:
    if name not in TABLES:
        raise ValueError(f"unknown table '{name}'; the tables are {', '.join(TABLES)}")
    return TABLES[name]
