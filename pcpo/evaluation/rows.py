"""Arrays on disk, one row per image, written and read piece by piece.

The files are plain `.npy`. They are neither written nor read through a memory map: mapped pages
count as the process's memory, and a full disk kills a process that writes to them, with no error.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from pcpo.records.replace import new_file


class Rows:
    """A `.npy` file (N, d) that returns copies of its rows: `rows[10:20]`, `rows[[3, 1]]`.

    `np.asarray(rows)` reads all rows. Raises ValueError if the file is damaged or truncated.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as handle:
            version = np.lib.format.read_magic(handle)
            if version != (1, 0):
                raise ValueError(f"{path}: version {version} of .npy, expected (1, 0)")
            shape, fortran, self.dtype = np.lib.format.read_array_header_1_0(handle)
            self._start = handle.tell()
        if len(shape) != 2 or fortran or self.dtype.hasobject:
            raise ValueError(f"{path}: not an array (N, d) in row order")
        self.shape: tuple[int, int] = shape
        if path.stat().st_size != self._start + shape[0] * shape[1] * self.dtype.itemsize:
            raise ValueError(f"{path}: truncated")

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, which: slice | np.ndarray | list[int]) -> np.ndarray:
        wanted = np.arange(len(self))[which]
        rows = np.empty((len(wanted), self.shape[1]), self.dtype)
        runs = np.split(np.arange(len(wanted)), np.flatnonzero(np.diff(wanted) != 1) + 1)
        width = self.shape[1] * self.dtype.itemsize
        with self.path.open("rb") as handle:
            for run in runs:
                if len(run):
                    handle.seek(self._start + int(wanted[run[0]]) * width)
                    handle.readinto(rows[run[0] : run[-1] + 1].data)
        return rows

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)


class RowWriter:
    """Write `count` rows to `path`; the file appears when all are written.

        with RowWriter(path, count=50040) as writer:
            writer.add(rows)  # (B, d), as often as needed

    Leaves no file if an error ends the block.
    """

    def __init__(self, path: Path, count: int) -> None:
        self.path, self.count = path, count
        self._open = ExitStack()
        self._handle: BinaryIO | None = None
        self._written = 0

    def __enter__(self) -> RowWriter:
        part = self._open.enter_context(new_file(self.path))
        self._handle = self._open.enter_context(part.open("wb"))
        return self

    def add(self, rows: np.ndarray) -> None:
        """Append `rows` (B, d), all of one width and dtype."""
        assert self._handle is not None
        if self._written == 0:
            self._width, self._dtype = rows.shape[1], rows.dtype
            header = {
                "descr": np.lib.format.dtype_to_descr(rows.dtype),
                "fortran_order": False,
                "shape": (self.count, rows.shape[1]),
            }
            np.lib.format.write_array_header_1_0(self._handle, header)
        assert rows.shape[1:] == (self._width,) and rows.dtype == self._dtype
        self._handle.write(np.ascontiguousarray(rows).data)
        self._written += len(rows)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and self._written != self.count:
            error = AssertionError(f"{self._written} of {self.count} rows")
            kind = AssertionError
            self._open.__exit__(kind, error, trace)
            raise error
        self._open.__exit__(kind, error, trace)
