"""`config/assets.lock`: size, sha256 and revision of every file since its first download."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import NamedTuple

from pcpo.assets.table import AssetError, Row, read_cells
from pcpo.config.files import CONFIG
from pcpo.records.lock import alone_in
from pcpo.records.replace import write_text

LOCK = CONFIG / "assets.lock"
COLUMNS = ("asset", "path", "bytes", "sha256", "revision")
SHA256 = re.compile(r"[0-9a-f]{64}")


class Locked(NamedTuple):
    """The recorded facts about a file."""

    bytes: int
    sha256: str
    revision: str


Lock = dict[tuple[str, str], Locked]


def read_lock(file: Path = LOCK) -> Lock:
    """(asset, path) -> its record; empty if there is no lock file. Raises AssetError."""
    lock: Lock = {}
    if not file.exists():
        return lock
    for where, cells in read_cells(file, COLUMNS):
        key = cells["asset"], cells["path"]
        if not cells["bytes"].isdecimal():
            raise AssetError(f"{where}: '{cells['bytes']}' is not a number of bytes")
        if not SHA256.fullmatch(cells["sha256"]):
            raise AssetError(f"{where}: '{cells['sha256']}' is not a sha256")
        if key in lock:
            raise AssetError(f"{where}: {'/'.join(key)} has a line already")
        lock[key] = Locked(int(cells["bytes"]), cells["sha256"], cells["revision"])
    return lock


def record(row: Row, found: Locked, file: Path = LOCK) -> Locked:
    """Record a first download, unless another process was faster; returns the entry."""
    with alone_in(file.parent, waiting=lambda holder: None):
        lock = read_lock(file)
        key = row.asset, row.path
        if key not in lock:
            lock[key] = found
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows([*key, *entry] for key, entry in sorted(lock.items()))
            write_text(file, text.getvalue())
        return lock[key]
