"""Folders that are complete or absent, and whose damage is detected.

They are written beside their place, with the SHA-256 of every file in `SHA256SUMS` (for `sha256sum
--check`), flushed to disk, and renamed. A kill or a crash at any moment leaves the older folder or
the newer one. A flipped bit is found before the data is used.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pcpo.records.replace import new_folder

SUMS = "SHA256SUMS"


class DamagedFolder(ValueError):
    """A folder whose files differ from those that were written."""


@contextmanager
def complete_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to write into; it replaces `folder` when the block ends without an error.

    Raises NotWritten if it cannot be written; the old folder is then still there.
    """
    with new_folder(folder) as part:
        yield part
        sums = {file.relative_to(part).as_posix(): sha256(file) for file in _files(part)}
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
        if sha256(file) != digest:
            raise DamagedFolder(f"{file} is not as it was written: its SHA-256 differs")


def sha256(file: Path) -> str:
    """Hexadecimal digest of a file's bytes."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


# Not part of a folder's identity: notes of a download or a training, and files that were replaced.
_NOTES = {SUMS, "assets.json", "accuracy.csv", "lock", "__pycache__"}
_ASIDE = {".part", ".incomplete", ".wrong", ".old", ".lock", ".md"}


def identity_files(folder: str | Path) -> list[Path]:
    """The files that identify a folder of weights, sorted; none where there is no folder.

    Hidden files and bookkeeping (`assets.json` with its times, `*.part`, `*.wrong`, locks,
    `README.md`) do not count, so that a second download has the same identity. Links are
    followed, so that a component in another folder counts too. Raises OSError for a folder that
    this user may not read, and for a broken link.
    """
    return sorted(_files_below(Path(folder), ())) if Path(folder).is_dir() else []


def _files_below(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    """above: the folders that contain it, links resolved; a link to one of them is a cycle."""
    here = os.path.realpath(folder)
    if here in above:
        return
    for path in folder.iterdir():
        if not _counts(path.name):
            continue
        if stat.S_ISDIR(mode := path.stat().st_mode):
            yield from _files_below(path, (*above, here))
        elif stat.S_ISREG(mode):
            yield path


def _counts(name: str) -> bool:
    return not (name.startswith(".") or name in _NOTES or Path(name).suffix in _ASIDE)


def contents(folder: str | Path) -> str:
    """Digest of a folder's `identity_files` by name and bytes.

    Times do not count: a copy has the same digest. A missing folder counts as empty.
    """
    digest = hashlib.sha256()
    for file in identity_files(folder):
        digest.update(f"{file.relative_to(folder).as_posix()} {sha256(file)}\n".encode())
    return digest.hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _flush(path: Path) -> None:
    """Flush a file or a folder's entries to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
