"""Arrays on disk, one row per image, written and read piece by piece.

The files are plain `.npy`. They are neither written nor read through a memory map: mapped pages
count as the process's memory, and a full disk ends a process that writes to them without a word.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np


class Rows:
    """A `.npy` file (N, d) that gives copies of its rows: `rows[10:20]`, `rows[[3, 1]]`.

    `np.asarray(rows)` reads the whole. Raises ValueError if the file is damaged or truncated.
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
    """Write `count` rows to `path`; the file appears when all are there.

        with RowWriter(path, count=50040) as writer:
            writer.add(rows)  # (B, d), as often as needed

    Leaves no file if an error ends the block.
    """

    def __init__(self, path: Path, count: int) -> None:
        self.path, self.count = path, count
        self._part = path.with_name(path.name + ".part")
        self._handle: BinaryIO | None = None
        self._written = 0

    def __enter__(self) -> RowWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = self._part.open("wb")
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
        with self._named_errors():
            self._handle.write(np.ascontiguousarray(rows).data)
        self._written += len(rows)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._handle is not None
        try:
            with self._named_errors():
                self._handle.close()
            if kind is None:
                assert self._written == self.count, f"{self._written} of {self.count} rows"
                os.replace(self._part, self.path)
        finally:
            self._part.unlink(missing_ok=True)

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """A full disk does not say of itself which file did not fit."""
        try:
            yield
        except OSError as error:
            raise OSError(f"{self.path} cannot be written: {error}") from error
