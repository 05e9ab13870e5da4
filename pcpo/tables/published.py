"""The paper's own tables: config/paper/<name>.csv."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pcpo.tables import TABLES


def read_published(folder: str | Path, name: str) -> pd.DataFrame:
    """<folder>/<name>.csv with the row labels of our table as its index.

    Raises FileNotFoundError where it is missing, and ValueError where it lacks a column, or where
    two rows get the same label.
    """
    path = Path(folder) / f"{name}.csv"
    if not path.exists():
        raise FileNotFoundError(f"{path}: the paper's {name} is missing")
    frame = pd.read_csv(path)
    record = TABLES[name]
    try:
        labels = list(record.labels(frame))
        frame[list(record.columns)]
    except KeyError as error:
        raise ValueError(f"{path}: lacks a column of pcpo/tables/{name}.py: {error}") from error
    if len(labels) != len(frame) or len({*labels}) != len(labels) or not _texts(labels):
        raise ValueError(
            f"{path}: has {len(frame)} rows, which `labels` of pcpo/tables/{name}.py calls "
            f"{', '.join(map(str, labels))}: each row needs a label of its own"
        )
    frame.index = pd.Index(labels)
    return frame


def _texts(labels: list[str]) -> bool:
    return all(isinstance(label, str) for label in labels)
