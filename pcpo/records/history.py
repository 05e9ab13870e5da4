"""What happened to a run: history.jsonl in its folder, a line per event, only ever added to.

    {"time": "2026-01-31T12:00:00.123456+00:00", "event": "saved", "process": "...", "epoch": 5}

Events: `started` (with the epoch that it goes on from, and where it comes from), `saved` (the state
after an epoch can be gone on from), `stopped` (on request, after saving), `finished`. A process
that is killed adds none: the next line is another `started`. Besides, of the folder: `accepted`
(the code that is here counts as that of the run), `set_aside` and `restored`.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE = "history.jsonl"
EVENTS = {"started", "saved", "stopped", "finished", "accepted", "set_aside", "restored"}


class DamagedHistory(ValueError):
    """A history that cannot be relied on; the message names the file and the line."""


def append(folder: Path, event: str, **details: Any) -> None:
    """Add an event to the history of the run in `folder`; one write, so that no line is split."""
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    line = json.dumps({"time": now, "event": event, "process": process()} | details)
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        size = os.fstat(handle).st_size
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"  # by a full disk
        whole = ("\n" * torn + line + "\n").encode()
        if os.write(handle, whole) < len(whole):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(folder / FILE)) from error
    finally:
        os.close(handle)


def read(folder: Path) -> list[dict[str, Any]]:
    """All events in their order; none where the run was never started.

    A line that was cut short, by a full disk for instance, is left out. Raises DamagedHistory for
    any other line that is no event: what it stood for is not known.
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
                f"{path}: line {number} is damaged ({error!r}); to count what the others tell, "
                "take the line out"
            ) from error
    return events


def _is_cut(line: bytes) -> bool:
    """Whether a line is the beginning of an event."""
    try:
        json.loads(line.decode())
    except json.JSONDecodeError as error:
        # A line with its last brace is not cut within a text: a quote is another byte.
        within = error.msg.startswith("Unterminated string") and not line.endswith(b"}")
        return within or error.pos >= len(error.doc)
    return False


def _event(line: bytes) -> dict[str, Any]:
    """An event with all that is read of it, in the kinds that are expected."""
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
    return dict(event)


def seconds_held(events: list[dict[str, Any]]) -> list[tuple[float, int]]:
    """(seconds, GPUs) of each start up to its last line: all starts since the run last began anew.

    What a killed process did after its last save is not in it.
    """
    starts = [n for n, e in enumerate(events) if e["event"] == "started"]
    anew = [n for n in starts if not events[n]["epoch"]]
    held = []
    for n in (n for n in starts if not anew or n >= anew[-1]):
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
