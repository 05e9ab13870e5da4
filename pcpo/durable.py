"""Folders that are complete or absent, and that know when they are damaged.

Written beside their place as `<name>.part`, with the SHA-256 of every file in `SHA256SUMS` (as
`sha256sum --check` reads it), flushed to disk, and renamed: a kill or a crash at any moment leaves
the older folder or the newer one, and a flipped bit is found before a number is made of it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SUMS = "SHA256SUMS"


class DamagedFolder(ValueError):
    """A folder whose files are not those that were written."""


@contextmanager
def complete_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to write into; it takes the place of `folder` when the block ends well.

    Raises OSError if it cannot be written; what stood in its place is then still there.
    """
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        sums = {file.relative_to(part).as_posix(): sha256(file) for file in _files(part)}
        lines = [f"{digest}  {name}\n" for name, digest in sums.items()]
        (part / SUMS).write_text("".join(lines), encoding="utf-8")
        for path in (*_files(part), part):
            _flush(path)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)  # a full disk needs the room
        if isinstance(error, OSError) and str(folder) not in str(error):
            raise OSError(f"{folder}: cannot be written: {error}") from error
        raise
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    _flush(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def check_folder(folder: Path) -> None:
    """Raise DamagedFolder, naming the file, unless every file is as it was written."""
    sums = folder / SUMS
    try:
        lines = sums.read_text(encoding="utf-8").splitlines()
        known = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except FileNotFoundError as error:
        raise DamagedFolder(f"{sums} is missing") from error
    except (OSError, ValueError) as error:
        raise DamagedFolder(f"{sums} cannot be read: {error}") from error
    if not known:
        raise DamagedFolder(f"{sums} is empty")
    for name, digest in known.items():
        file = folder / name
        if not file.is_file():
            raise DamagedFolder(f"{file} is missing")
        if sha256(file) != digest:
            raise DamagedFolder(f"{file} is not as it was written: its SHA-256 differs")


def sha256(file: Path) -> str:
    """Hexadecimal digest of a file's bytes."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def contents(folder: str | Path) -> str:
    """Digest of a folder's files by name and bytes, without hidden ones and a download's manifest.

    Times do not count: a copy gives the same. One that is not there counts as empty.
    """
    digest = hashlib.sha256()
    for file in _files(Path(folder)):
        name = file.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        if not hidden and file.name != "assets.json":
            digest.update(f"{name.as_posix()} {sha256(file)}\n".encode())
    return digest.hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _flush(path: Path) -> None:
    """Have the kernel write a file or a folder's entries to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
