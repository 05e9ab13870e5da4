"""The paper's tables from tidy frames. This folder is the registry.

The table `table3` is the file `pcpo/tables/table3.py`. It has the record `RECORD`, with everything
that other parts know about the table, and the function `make`. The paper's cells are in
config/paper/table3.csv. Nothing else lists the tables: to add a table, add these two files. A
table that the paper does not have is a file such as `pcpo/tables/table_aa.py`, without the second.

    from pcpo.tables.build import build

    table = build("table3", experiments, {"per_prompt": ..., "selection": ...})
    table.write("results/demo/tables/table3")      # .csv, .md, .tex, .json

The Snakefile reads the records at every start. A table's file therefore imports pandas, and modules
that need it, only inside `make`.
"""

from __future__ import annotations

import importlib
import pkgutil
import re

from pcpo.tables.record import Record

__all__ = ["TABLES", "Record", "find"]

# table.py and the shared modules are not tables.
_NAME = re.compile(r"table(?:(\d+)(\w*)|_(\w+))")


def find() -> dict[str, Record]:
    """Name -> record of every table of this folder, in the paper's order, then our own.

    Raises ValueError where a table's file has no record.
    """
    names = [m.name for m in pkgutil.iter_modules(__path__) if _NAME.fullmatch(m.name)]
    return {name: _record(name) for name in sorted(names, key=_place)}


def _record(name: str) -> Record:
    record = getattr(importlib.import_module(f"{__name__}.{name}"), "RECORD", None)
    if not isinstance(record, Record):
        raise ValueError(
            f"pcpo/tables/{name}.py: a table's file needs RECORD = Record(...); "
            "see pcpo/tables/record.py"
        )
    return record


def _place(name: str) -> tuple[float, str]:
    """2, "a" for table2a, so that table10 is behind table9; our own behind all."""
    found = _NAME.fullmatch(name)
    assert found is not None
    return (int(found[1]), found[2]) if found[1] else (float("inf"), found[3])


TABLES = find()
