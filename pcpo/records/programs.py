"""What another program of this machine says, in a time that is bounded."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress

SECONDS = 60.0  # a slow file system or a driver that hangs must not cost a job
GRACE = 5.0  # for a killed program to end


def said(*command: str, environment: Mapping[str, str] | None = None) -> bytes:
    """Standard output of a program that ends well.

    Raises FileNotFoundError (or another OSError) if it cannot be started, CalledProcessError, with
    its `stderr` in bytes, if it fails, and TimeoutExpired after SECONDS: it is then killed with all
    that it started.
    """
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment, start_new_session=True,
    )  # fmt: skip
    try:
        output, errors = process.communicate(timeout=SECONDS)
    except BaseException:  # Ctrl-C too, which does not reach it
        os.killpg(process.pid, signal.SIGKILL)
        _close(process)
        raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output, errors)
    return output


def said_by_driver(*words: str) -> list[str]:
    """The lines that `nvidia-smi` prints; none where it is missing, fails or hangs."""
    try:
        return said("nvidia-smi", *words).decode("utf-8", "replace").splitlines()
    except (OSError, subprocess.SubprocessError):
        return []


def _close(process: subprocess.Popen[bytes]) -> None:
    """Let go of a killed program. One that hangs within the kernel may not end: it is left."""
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=GRACE)
