"""The history of a run: history.jsonl in its folder, one line per event, append-only.

    {"time": "2026-01-31T12:00:00.123456+00:00", "event": "saved", "process": "...", "epoch": 5}

Events: `started` (with the epoch that it resumes from, and its origin), `saved` (the state after an
epoch can be resumed), `stopped` (on request, after saving), `finished`. A killed process adds
none: the next line is another `started`. Events of the folder: `accepted` (the present code counts
as the code of the run), `set_aside` and `restored`.
"""

from __future__ import annotations

import errno
import json
import os
import re
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE = "history.jsonl"
EVENTS = {"started", "saved", "stopped", "finished", "accepted", "set_aside", "restored"}


class DamagedHistory(ValueError):
    """A history that cannot be trusted; the message names the file and the line."""


def append(folder: Path, event: str, **details: Any) -> None:
    """Add an event to the history of the run in `folder`; one write, so that no line is split."""
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    line = json.dumps({"time": now, "event": event, "process": process()} | details)
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        size = os.fstat(handle).st_size
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"  # a full disk cut a line
        whole = ("\n" * torn + line + "\n").encode()
        if os.write(handle, whole) < len(whole):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder / FILE)) from error
    finally:
        os.close(handle)


def read(folder: Path) -> list[dict[str, Any]]:
    """All events in order; none if the run was never started.

    A line that was cut short, for example by a full disk, is left out. Raises DamagedHistory for
    any other line that is not an event.
    """
    path = folder / FILE
    events = []
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            if line and not _is_cut(line):
                events.append(_event(line))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DamagedHistory(
                f"{path}: line {number} is damaged ({error!r}); to count the other lines, "
                "delete this one"
            ) from error
    return events


def _is_cut(line: bytes) -> bool:
    """Whether a line is the beginning of an event."""
    try:
        json.loads(line.decode())
    except json.JSONDecodeError as error:
        # A line with its last brace is not cut within a text: a quote of it is damaged.
        within = error.msg.startswith("Unterminated string") and not line.endswith(b"}")
        return within or error.pos >= len(error.doc)
    return False


def _event(line: bytes) -> dict[str, Any]:
    """An event, if the values that are read have the expected types."""
    event = json.loads(line.decode())
    if event["event"] not in EVENTS:
        raise ValueError(f"no event is called {event['event']!r}")
    if datetime.fromisoformat(event["time"]).tzinfo is None:
        raise ValueError("a time without its zone")
    kinds = {"process": str, "epoch": int, "gpus": int, "code": dict}
    needed = {"process", "epoch"} if event["event"] == "started" else {"process"}
    for key in kinds:
        if (key in needed or key in event) and not isinstance(event[key], kinds[key]):
            raise TypeError(f"{key} is {event[key]!r}")
    if not all(isinstance(digest, str) for digest in event.get("code", {}).values()):
        raise TypeError("code has other values than digests")
    if not all(re.fullmatch(r"[\w./-]+", name, re.ASCII) for name in event.get("code", {})):
        raise ValueError("code names what is no file of a package")
    return dict(event)


def seconds_held(events: list[dict[str, Any]]) -> list[tuple[float, int]]:
    """(seconds, GPUs) of each start up to its last line, since the run last began from scratch.

    The time of a killed process after its last save is not included.
    """
    starts = [n for n, e in enumerate(events) if e["event"] == "started"]
    fresh = [n for n in starts if not events[n]["epoch"]]
    held = []
    for n in (n for n in starts if not fresh or n >= fresh[-1]):
        own = events[n]["process"]
        last = max(k for k in range(n, len(events)) if events[k]["process"] == own)
        first, end = (datetime.fromisoformat(events[k]["time"]) for k in (n, last))
        held.append(((end - first).total_seconds(), int(events[n].get("gpus", 0))))
    return held


def process() -> str:
    """Which process this is, for a reader: number, host, and the cluster's job if there is one."""
    job = os.environ.get("SLURM_JOB_ID")
    own = f"process {os.getpid()} on {socket.gethostname()}"
    return f"{own} (Slurm job {job})" if job else own
