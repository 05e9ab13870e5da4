"""A command, and the memory of all processes that it starts."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import psutil

from tests.true_size.stages import Failure

INTERVAL = 0.25  # seconds


@dataclass
class Usage:
    """code: the exit code. peaks: module (`python -m <module>`) -> the most bytes that a process of
    it had resident, as the kernel counts them. together: the most of all processes at a time.
    """

    code: int = 0
    seconds: float = 0.0
    peaks: dict[str, int] = field(default_factory=dict)
    together: int = 0


def watch(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    output: Path,
    most: float,
    at_times: Callable[[], bool] = lambda: False,
) -> Usage:
    """Run a command in a folder to its end; what it prints goes to the file `output`.

    most: bytes that its processes may have resident together; beyond them it is killed, and Failure
    is raised. at_times: called several times a second; True kills the command and all its processes
    at once (SIGKILL).
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    usage, started = Usage(), time.monotonic()
    with output.open("a", encoding="utf-8") as handle:
        process = subprocess.Popen(
            command, cwd=folder, env=dict(environment), stdout=handle, stderr=handle,
            start_new_session=True,
        )  # fmt: skip
        try:
            while process.poll() is None:
                now = _look(process.pid, usage)
                usage.together = max(usage.together, now)
                if now > most:
                    raise Failure(
                        f"{' '.join(command[:6])} ...: {now / 1e9:.1f} GB are resident together, "
                        f"more than {most / 1e9:.1f}; see {output}"
                    )
                if at_times():
                    break
                time.sleep(INTERVAL)
        finally:
            _kill(process)
    usage.code, usage.seconds = process.returncode, time.monotonic() - started
    return usage


def _look(pid: int, usage: Usage) -> int:
    """Bytes resident now in a process and all below it; their peaks go into `usage`."""
    together = 0
    for number in _tree(pid):
        try:
            status = Path(f"/proc/{number}/status").read_text(encoding="ascii", errors="replace")
            words = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
        except OSError:  # it has ended
            continue
        sizes = {
            line.split(":")[0]: 1024 * int(line.split()[1])
            for line in status.splitlines()
            if line.startswith(("VmHWM:", "VmRSS:"))
        }
        together += sizes.get("VmRSS", 0)
        module = _module([word.decode(errors="replace") for word in words])
        usage.peaks[module] = max(usage.peaks.get(module, 0), sizes.get("VmHWM", 0))
    return together


def _tree(pid: int) -> list[int]:
    try:
        below = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []
    return [pid, *(child.pid for child in below)]


def _module(words: Sequence[str]) -> str:
    """The module of `python -m <module>`, else the program's name."""
    for word, following in pairwise(words):
        if word == "-m":
            return following
    return Path(words[0]).name if words else ""


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End what is left of a command: its own processes alone, by their numbers."""
    if process.poll() is None:
        for number in reversed(_tree(process.pid)):
            try:
                os.kill(number, signal.SIGKILL)
            except ProcessLookupError:
                continue
    process.wait()
