"""Folders that are complete or absent, and whose damage is detected.

They are written beside their place, with the SHA-256 of every file in `SHA256SUMS` (for `sha256sum
--check`), flushed to disk, and renamed. A kill or a crash at any moment leaves the older folder or
the newer one. A flipped bit is found before the data is used. A `README.md` is for people, who may
edit it: it has no sum.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pcpo.records.digest import SUMS, of_file
from pcpo.records.replace import new_folder


class DamagedFolder(ValueError):
    """A folder whose files differ from those that were written."""


@contextmanager
def complete_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to write into; it replaces `folder` when the block ends without an error.

    Raises NotWritten if it cannot be written; the old folder is then still there.
    """
    with new_folder(folder) as part:
        yield part
        sealed = [file for file in _files(part) if file.name != "README.md"]
        sums = {file.relative_to(part).as_posix(): of_file(file) for file in sealed}
        lines = [f"{digest}  {name}\n" for name, digest in sums.items()]
        (part / SUMS).write_text("".join(lines), encoding="utf-8")
        for path in (*_files(part), part):
            _flush(path)
    _flush(folder.parent)


def check_folder(folder: Path) -> None:
    """Raise DamagedFolder, naming the file, unless every file is as it was written.

    Raises OSError for a file that this user may not read: it is not damaged.
    """
    sums = folder / SUMS
    try:
        lines = sums.read_text(encoding="utf-8").splitlines()
        known = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except FileNotFoundError as error:
        raise DamagedFolder(f"{sums} is missing") from error
    except ValueError as error:
        raise DamagedFolder(f"{sums} cannot be read: {error}") from error
    if not known:
        raise DamagedFolder(f"{sums} is empty")
    for name, digest in known.items():
        file = folder / name
        if not file.is_file():
            raise DamagedFolder(f"{file} is missing")
        if of_file(file) != digest:
            raise DamagedFolder(f"{file} is not as it was written: its SHA-256 differs")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _flush(path: Path) -> None:
    """Flush a file or a folder's entries to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
