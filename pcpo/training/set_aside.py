"""A run whose folder another run needs is set aside, never deleted: it cost GPU days.

    runs/<experiment>/<arm>/set_aside/seed0_2026-01-31T120000/    the run, and set_aside.json: why

A copy of the history stays in the run's folder. `python -m pcpo.cli.aside` lists what is set
aside, restores it or deletes it.
"""

from __future__ import annotations

import errno
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pcpo.records import history
from pcpo.records.lock import Busy, alone
from pcpo.records.replace import write_text

FOLDER = "set_aside"
NOTE = "set_aside.json"
LOCK = "lock"
MANIFEST = "checkpoints.csv"


@dataclass(frozen=True)
class SetAside:
    """A run that was set aside: from where, and why. `bytes` is the size of all its files."""

    folder: Path
    run: Path
    why: str
    bytes: int


def put(run: Path) -> Path:
    """Set a run aside at a user's request, so that the workflow trains it from the start.

    Raises ValueError if there is no run, and while a process trains it.
    """
    if not any((run / name).exists() for name in ("checkpoints", "resume", MANIFEST)):
        raise ValueError(f"{run}: no run is here")
    with idle(run):
        folder = set_aside(run, "by a user's command")
    assert folder is not None
    return folder


def set_aside(run: Path, why: str) -> Path | None:
    """Move all of a run's files to a new folder; None if there are none. Hold the run's lock.

    If a kill interrupts the move, the next call completes it in the same folder.
    """
    moved = [path for path in sorted(run.iterdir()) if path.name not in (history.FILE, LOCK)]
    unfinished = sorted((run.parent / FOLDER).glob(f"{run.name}_*.part"))
    if not moved and not unfinished:
        return None
    if unfinished:
        part = unfinished[0]
    else:
        part = _free(run.parent / FOLDER, f"{run.name}_{datetime.now(UTC):%Y-%m-%dT%H%M%S}")
        part.mkdir(parents=True)
    if not (part / NOTE).exists():
        write_text(part / NOTE, json.dumps({"run": run.name, "why": why}, indent=1) + "\n")
    if (run / history.FILE).exists():
        shutil.copy2(run / history.FILE, part / history.FILE)
    # The states move last: a start looks for them.
    for path in sorted(moved, key=lambda path: path.name == "resume"):
        try:
            path.rename(part / path.name)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            raise ValueError(
                f"{run} lies on another disk than {part.parent}, so that it cannot be set aside: "
                "move it elsewhere with your own means, and start again"
            ) from error
    folder = part.with_suffix("")
    part.rename(folder)
    history.append(run, "set_aside", to=str(folder), why=why)
    return folder


def all_set_aside(results: Path = Path("results")) -> list[SetAside]:
    """Every run that is set aside in results/<scale>/runs/, or beside a folder results/<a>/<b>."""
    places = (f"*/runs/*/*/{FOLDER}/*/{NOTE}", f"*/{FOLDER}/*/{NOTE}")  # the second: of `align`
    return [read(note.parent) for place in places for note in sorted(results.glob(place))]


def read(folder: Path) -> SetAside:
    """Read a folder's note. Raises ValueError for a folder that is no run set aside.

    The folder's name identifies the run; if the note is damaged, only the reason is lost.
    """
    named = re.fullmatch(r"(.+)_\d{4}-\d\d-\d\dT\d{6}(_\d+)?(\.part)?", folder.name)
    if not (named and folder.parent.name == FOLDER and (folder / NOTE).is_file()):
        raise ValueError(f"{folder}: no run that was set aside is here")
    run = folder.parents[1] / named[1]
    try:
        why = str(json.loads((folder / NOTE).read_text(encoding="utf-8"))["why"])
    except PermissionError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        why = f"why is not known: {NOTE} is damaged ({error!r})"
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return SetAside(folder, run, why, size)


def restore(folder: Path) -> Path:
    """Put a run back in its place, and set aside what is there now; returns the place.

    Its manifest is left out, so the workflow starts its training. The training finds it complete,
    resumes it, or sets it aside again if its configuration differs from config/.
    """
    run = read(folder).run
    if folder.suffix:
        raise ValueError(
            f"{folder}: a kill interrupted the move; the next training of {run} completes it"
        )
    run.mkdir(parents=True, exist_ok=True)
    with idle(run):
        set_aside(run, f"{folder.name} was restored in its place")
        (folder / MANIFEST).unlink(missing_ok=True)
        for path in sorted(folder.iterdir()):
            if path.name != NOTE:
                path.replace(run / path.name)
        shutil.rmtree(folder)
        history.append(run, "restored", source=str(folder))
    return run


def delete(folder: Path) -> None:
    """Delete a run that was set aside. Raises ValueError for any other folder."""
    shutil.rmtree(read(folder).folder)


@contextmanager
def idle(run: Path) -> Iterator[None]:
    """Hold a run's lock. Raises ValueError while a process trains it."""
    try:
        with alone(run / LOCK):
            yield
    except Busy as error:
        raise ValueError(f"{run}: {error.holder} trains this run; stop it first") from error


def again(run: Path) -> str:
    """How to train a run from the start when it cannot be resumed."""
    return (
        f"python -m pcpo.cli.aside --put {run} sets the run aside, with all that is left of it, so "
        "that the workflow trains it from the start"
    )


def commands(folder: Path) -> str:
    """How to restore or delete a run that was set aside."""
    return (
        f"it is kept in {folder}; python -m pcpo.cli.aside --restore {folder} puts it back, "
        "--delete deletes it"
    )


def _free(place: Path, name: str) -> Path:
    """A folder below `place` that does not exist yet, with the suffix of an incomplete one."""
    names = (f"{name}{again}" for again in ("", *(f"_{n}" for n in range(2, 1000))))
    return next(place / f"{n}.part" for n in names if not (place / n).exists())
