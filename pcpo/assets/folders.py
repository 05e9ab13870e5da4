"""Folders below `data/`: preflight, download, check, write the manifest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from pcpo.assets import publishers
from pcpo.assets.lock import LOCK, Lock, Locked, read_lock, record
from pcpo.assets.table import ASSETS, COMMIT, AssetError, Row, read_assets, rows_of
from pcpo.records.digest import of_file
from pcpo.records.lock import alone_in
from pcpo.records.replace import write_text

MANIFEST = "assets.json"
STAGING = ".incoming"  # inside an asset's folder: files not yet checked

Stamps = dict[str, dict[str, Any]]


def preflight(
    names: Iterable[str], root: Path, table: Path = ASSETS, lock_file: Path = LOCK
) -> dict[str, Any]:
    """Find every obstacle before anything is downloaded.

    Assets with a manifest below `root` count as done and need no network. For each other file
    only the headers are requested from the publisher: does it exist, may we download it, is it the
    recorded one, how large is it.

    Returns:
        The pending downloads, for a report.

    Raises:
        AssetError: one message with a line for each obstacle.
    """
    assets, lock = rows_of(names, table), read_lock(lock_file)
    obstacles = _contradictions(table, lock, lock_file)
    missing = [
        row
        for name, rows in assets.items()
        if not (root / name / MANIFEST).exists()
        for row in rows
        if not _same_size(root / row.name, lock.get((name, row.path)))
    ]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda row: _ask(row, lock, lock_file), missing))
    # One line for a repository or a network, not one for each of its files.
    errors = [answer.error for answer in answers if answer.error]
    obstacles += dict.fromkeys(str(e) for e in errors if not isinstance(e, publishers.NoAnswer))
    silent = [host for e in errors if isinstance(e, publishers.NoAnswer) for host in e.hosts]
    if silent:
        obstacles.append(str(publishers.NoAnswer(*dict.fromkeys(silent))))
    needed = sum(answer.bytes for answer in answers)
    free = shutil.disk_usage(_existing(root)).free
    if needed > free:
        obstacles.append(
            f"The disk of {root} has {free / 1e9:.1f} GB free and {needed / 1e9:.1f} GB are to be "
            f"downloaded: make room, or let {root} be a link to a folder on a larger disk."
        )
    if obstacles:
        listed = "\n".join(f"- {line}" for line in obstacles)
        raise AssetError(f"nothing was downloaded, because:\n{listed}")
    return {
        "files": [row.name for row in missing],
        "gigabytes": round(needed / 1e9, 3),
        "free_gigabytes": round(free / 1e9, 3),
        "licences": {row.repository: row.licence for row in missing},
    }


def fetch(
    name: str,
    root: Path,
    say: Callable[[str], None] = lambda line: None,
    table: Path = ASSETS,
    lock_file: Path = LOCK,
) -> Path:
    """Download an asset's missing files, check all files, and write its manifest.

    An existing file is checked: its size always, its sha256 unless the manifest says that the file
    with this size and modification time was checked before. If all files exist, no network is
    needed. An interrupted download resumes; a second process on the same asset waits.

    Returns:
        The manifest.

    Raises:
        AssetError: a file differs from the lock, or cannot be downloaded.
    """
    rows = rows_of([name], table)[name]
    folder = root / name
    manifest = folder / MANIFEST
    with alone_in(folder, lambda holder: say(f"{name}: another process downloads it; waiting")):
        checked = _stamps(manifest)
        stamps: Stamps = {}
        for row in rows:
            target = folder / row.path
            lock = read_lock(lock_file)
            locked = lock.get((name, row.path))
            if locked and row.pinned and row.revision != locked.revision:
                raise AssetError(_other_revision(row, locked, lock_file))
            if locked and target.exists():
                if checked.get(row.path) != _stamp(target, locked):
                    _check_in_place(target, locked, row, manifest, lock_file)
            else:
                say(f"{row.name} from {row.repository}, about {row.gigabytes:g} GB")
                locked = _download(row, _revision(row, rows, lock), folder, lock_file, locked)
            stamps[row.path] = _stamp(target, locked)
        if checked != stamps:  # else its time stays, and nothing that depends on it is made again
            write_text(manifest, json.dumps({"asset": name, "files": stamps}, indent=1) + "\n")
        shutil.rmtree(folder / STAGING, ignore_errors=True)
    say(f"{name}: {len(rows)} files in place")
    return manifest


class _Answer(NamedTuple):
    """A file's size (an estimate if unstated), and why it cannot be downloaded."""

    bytes: int
    error: AssetError | None


def _ask(row: Row, lock: Lock, lock_file: Path) -> _Answer:
    locked = lock.get((row.asset, row.path))
    known = locked.bytes if locked else int(row.gigabytes * 1e9)
    try:
        published = publishers.headers(row, _revision(row, [row], lock))
    except AssetError as error:
        return _Answer(known, error)
    if locked and _differs(locked, published):
        return _Answer(
            known,
            AssetError(
                f"{row.name}: what {row.repository} offers is not the file in {lock_file}. "
                f"{_what_to_do(lock_file)}"
            ),
        )
    return _Answer(published.bytes or known, None)


def _download(
    row: Row, revision: str, folder: Path, lock_file: Path, locked: Locked | None
) -> Locked:
    """Download to the staging folder, check against the lock or record there, move into place."""
    published = publishers.headers(row, revision)
    (folder / STAGING).mkdir(exist_ok=True)
    # The lock's size, else the publisher's; the table's size is an estimate.
    most = (
        locked.bytes if locked else published.bytes or int(2e9 * row.gigabytes) + publishers.CHUNK
    )
    file = publishers.download(row, published, folder / STAGING, most)
    found = Locked(file.stat().st_size, of_file(file), published.revision)
    if _differs(found, published) or not found.sha256.startswith(row.stated_sha256):
        file.unlink()
        raise AssetError(
            f"{row.name} arrived damaged and was deleted: it had {found.bytes} bytes and sha256 "
            f"{found.sha256}; {row.repository} says {published.bytes} bytes and "
            f"{published.sha256 or row.stated_sha256 or 'no sha256'}. Run the command again."
        )
    expected = record(row, found, lock_file)
    if found[:2] != expected[:2]:
        file.unlink()
        raise AssetError(
            f"{row.name} from {row.repository} has {found.bytes} bytes and sha256 {found.sha256}, "
            f"but {lock_file} says {expected.bytes} bytes and {expected.sha256}. It was deleted. "
            f"{_what_to_do(lock_file)}"
        )
    target = folder / row.path
    target.parent.mkdir(parents=True, exist_ok=True)
    file.replace(target)
    return expected


def _check_in_place(
    target: Path, locked: Locked, row: Row, manifest: Path, lock_file: Path
) -> None:
    """Refuse an existing file that is not the recorded one, and move it away."""
    size = target.stat().st_size
    if size == locked.bytes and of_file(target) == locked.sha256:
        return
    manifest.unlink(missing_ok=True)
    aside = target.replace(target.with_name(target.name + ".wrong"))
    raise AssetError(
        f"{row.name} is damaged: it has {size} bytes, and {lock_file} says {locked.bytes} bytes "
        f"and sha256 {locked.sha256}. It is now {aside}: delete it, and run the command again to "
        "download the file again."
    )


def _contradictions(table: Path, lock: Lock, lock_file: Path) -> list[str]:
    """Lines of the lock that contradict the table."""
    rows = {(row.asset, row.path): row for rows in read_assets(table).values() for row in rows}
    sentences = []
    for key, locked in lock.items():
        if key not in rows:
            sentences.append(f"{lock_file} has {'/'.join(key)}, {table} has not: delete the line.")
        elif rows[key].pinned and rows[key].revision != locked.revision:
            sentences.append(_other_revision(rows[key], locked, lock_file))
    return sentences


def _other_revision(row: Row, locked: Locked, lock_file: Path) -> str:
    return (
        f"{row.name}: the table of assets names revision '{row.revision}', {lock_file} recorded "
        f"'{locked.revision}': set the table back, or delete the asset's folder and its lines in "
        f"{lock_file} to take the new revision."
    )


def _revision(row: Row, rows: Iterable[Row], lock: Lock) -> str:
    """The row's revision; for a branch, the commit recorded with any of its files."""
    if row.pinned:
        return row.revision
    for other in rows:
        locked = lock.get((other.asset, other.path))
        if locked and other.repository == row.repository and COMMIT.fullmatch(locked.revision):
            return locked.revision
    return row.revision


def _differs(file: Locked, published: publishers.Headers) -> bool:
    """Whether a file differs from the publisher's headers."""
    return published.bytes not in (None, file.bytes) or published.sha256 not in (None, file.sha256)


def _stamp(file: Path, locked: Locked) -> dict[str, Any]:
    """The manifest's entry of a checked file; it changes when the file is touched."""
    return locked._asdict() | {"mtime_ns": file.stat().st_mtime_ns, "size": file.stat().st_size}


def _stamps(manifest: Path) -> Stamps:
    try:
        return dict(json.loads(manifest.read_text(encoding="utf-8"))["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _same_size(file: Path, locked: Locked | None) -> bool:
    return locked is not None and file.is_file() and file.stat().st_size == locked.bytes


def _what_to_do(lock_file: Path) -> str:
    return (
        "If its publisher changed it on purpose and you want the new file, delete its line in "
        f"{lock_file}; if not, do not use it."
    )


def _existing(path: Path) -> Path:
    """The nearest folder above a path that exists."""
    path = path.resolve()
    return path if path.exists() else _existing(path.parent)
