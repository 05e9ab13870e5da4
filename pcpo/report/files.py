"""Read files of other rules; a file that cannot be understood is refused by its name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pcpo.records.digest import of_file


@dataclass(frozen=True)
class Artefact:
    """A file beside the page, with which a reader can check a number."""

    name: str  # relative to the page's folder
    digest: str  # SHA-256 of its bytes

    @classmethod
    def of(cls, path: Path, folder: Path) -> Artefact:
        """Of a file, for the page in `folder`."""
        return cls(Path(os.path.relpath(path, folder)).as_posix(), of_file(path))


def read_rows(path: Path, columns: Iterable[str], separator: str = ",") -> pd.DataFrame:
    """A CSV or TSV file with at least `columns`, every cell as its text ("" where empty).

    Raises ValueError with the file's name where it is empty, broken or lacks a column.
    """
    try:
        frame = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False)
    except ValueError as error:  # pandas' parser errors and bad UTF-8 are ValueErrors
        raise ValueError(f"{path}: cannot be read as a table ({error}); make it again") from error
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        found = ", ".join(map(str, frame.columns))
        raise ValueError(
            f"{path}: the columns {', '.join(missing)} are missing (there are {found}); "
            "make it again"
        )
    return frame


def number(text: str, path: Path, row: int, column: str) -> float:
    """A cell as a float, NaN where empty; ValueError with file, row (1-based) and column."""
    if text == "":
        return float("nan")
    try:
        return float(text)
    except ValueError as error:
        raise ValueError(f"{path}: row {row}, {column}: '{text}' is no number") from error
