"""One section per table of the paper: our table, the paper's beside it, and how it was made."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pcpo.config import Experiment
from pcpo.figures.registry import unmet
from pcpo.paths import TABLE_SUFFIXES
from pcpo.records.values import read_json
from pcpo.report.files import Artefact
from pcpo.report.side_by_side import SideBySide, side_by_side
from pcpo.tables import TABLES
from pcpo.tables.printed import PrintedTable


@dataclass(frozen=True)
class TableSection:
    """`missing` says why we have no table; then `printed` is None."""

    name: str
    title: str
    frames: tuple[str, ...]
    experiments: tuple[int, ...]
    source: str  # the file that makes it
    caption: str
    printed: PrintedTable | None
    paired: SideBySide | None
    files: tuple[Artefact, ...]
    missing: str


def read_tables(
    root: Path,
    experiments: Collection[Experiment],
    compared: pd.DataFrame | None,
    published: Path,
    measured: Mapping[str, str],
) -> list[TableSection]:
    """Sections in the paper's order; `experiments` are the configurations that the run has.

    A table that needs other configurations is left out even if an older file of it exists.
    `measured` says what replaces a metric at this scale.
    """
    return [_section(name, root, experiments, compared, published, measured) for name in TABLES]


def _section(
    name: str,
    root: Path,
    experiments: Collection[Experiment],
    compared: pd.DataFrame | None,
    published: Path,
    measured: Mapping[str, str],
) -> TableSection:
    record = TABLES[name]
    path = root / "tables" / f"{name}.json"
    numbers = [experiment.number for experiment in experiments]
    lacks = record.lacks(experiments)
    missing = why_missing(name, record.experiments, numbers, path, lacks)
    paired = None
    if compared is not None and not missing and record.printed:
        paired = side_by_side(name, compared, published, measured, root / "compare.csv")
    files = [path.with_suffix(f".{suffix}") for suffix in TABLE_SUFFIXES if suffix != "json"]
    return TableSection(
        name,
        title(name),
        record.frames,
        record.experiments,
        f"pcpo/tables/{name}.py",
        record.caption,
        None if missing else read_json(path, PrintedTable),
        paired,
        () if missing else tuple(Artefact.of(file, root) for file in files if file.exists()),
        missing,
    )


def why_missing(
    name: str,
    needed: Collection[int],
    numbers: Collection[int],
    path: Path,
    lacks: str = "",
) -> str:
    """Why a table or figure is not in the page; "" where it is. lacks: what the scale lacks."""
    if why := unmet(needed, numbers, lacks):
        return why
    return "" if path.exists() else f"not made yet: run `snakemake {name}`"


def title(name: str) -> str:
    """Table 2a for table2a, Table AA for table_aa."""
    found = re.fullmatch(r"table(\d+\w*)|table_(\w+)", name)
    return f"Table {found[1] or found[2].upper()}" if found else name
