"""Run another program of this machine with a time limit and read its output."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress

SECONDS = 60.0  # a slow file system or a hanging driver must not stop a job
GRACE = 5.0  # for a killed program to end


def output_of(*command: str, environment: Mapping[str, str] | None = None) -> bytes:
    """Standard output of a program that succeeds.

    Raises FileNotFoundError (or another OSError) if it cannot be started, CalledProcessError, with
    its `stderr` in bytes, if it fails, and TimeoutExpired after SECONDS; it is then killed with all
    processes that it started.
    """
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment, start_new_session=True,
    )  # fmt: skip
    try:
        output, errors = process.communicate(timeout=SECONDS)
    except BaseException:  # Ctrl-C too: it does not reach the program
        os.killpg(process.pid, signal.SIGKILL)
        _close(process)
        raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output, errors)
    return output


def driver_lines(*words: str) -> list[str]:
    """The lines that `nvidia-smi` prints; none if it is missing, fails or hangs."""
    try:
        return output_of("nvidia-smi", *words).decode("utf-8", "replace").splitlines()
    except (OSError, subprocess.SubprocessError):
        return []


def _close(process: subprocess.Popen[bytes]) -> None:
    """Release a killed program. One that hangs within the kernel may not end; it is left alone."""
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=GRACE)
