"""SHA-256 digests of content, in hexadecimal: the one place that computes them.

A *digest* is of content. A *key* is a digest, shortened, that names an entry of a cache after all
inputs of the entry. An *identity* is not hashed: it has the values themselves that a run depends on
(`pcpo.training.identity`), so that what differs can be named.

Digests are stored and compared with stored ones, so none may change its value. Random seeds are
drawn from names elsewhere (`pcpo.prompts.draws`). Only the standard library is used, because each
start of Snakemake runs this.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

SUMS = "SHA256SUMS"  # a folder's own list of the digests of its files
SHORT = 16  # digits where a digest only has to tell values apart


def of_parts(parts: Iterable[bytes]) -> str:
    """64 digits: of all parts, as if they were one."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def of_bytes(data: bytes) -> str:
    return of_parts([data])


def of_text(text: str) -> str:
    """Of a text as UTF-8."""
    return of_bytes(text.encode())


def of_json(value: Any) -> str:
    """Of a value in JSON types; the order of a mapping's keys does not count."""
    return of_text(json.dumps(value, sort_keys=True))


def of_file(file: Path) -> str:
    """Of a file's bytes."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def of_folder(folder: str | Path) -> str:
    """Of a folder's `files_of` by name and bytes.

    Times do not count: a copy has the same digest. A missing folder counts as empty.
    """
    return of_parts(
        f"{file.relative_to(folder).as_posix()} {of_file(file)}\n".encode()
        for file in files_of(folder)
    )


# Not part of a folder's content: notes of a download or a training, and files that were replaced.
_NOTES = {SUMS, "assets.json", "accuracy.csv", "lock", "__pycache__"}
_ASIDE = {".part", ".incomplete", ".wrong", ".old", ".lock", ".md"}


def files_of(folder: str | Path) -> list[Path]:
    """The files of a folder of weights that count, sorted; none where there is no folder.

    Hidden files and bookkeeping (`assets.json` with its times, `*.part`, `*.wrong`, locks,
    `README.md`) do not count, so that a second download has the same digest. Links are followed, so
    that a component in another folder counts too. Raises OSError for a folder that this user may
    not read, and for a broken link.
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
