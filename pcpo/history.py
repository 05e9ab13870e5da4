"""What happened to a run: history.jsonl in its folder, a line per event, only ever added to.

    {"time": "2026-01-31T12:00:00.123456+00:00", "event": "saved", "process": "...", "epoch": 5}

Events: `started` (with the epoch that it goes on from, and where it comes from), `saved` (the state
after an epoch can be gone on from), `stopped` (on request, after saving), `finished`. A process
that is killed adds none: the next line is another `started`.
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

    A line that was cut short, by a full disk for instance, is left out.
    """
    path = folder / FILE
    events = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            events.append(json.loads(line))
        except ValueError:
            continue
    return events


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
