"""What another program of this machine says, in a time that is bounded."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping

SECONDS = 60.0  # a slow file system or a driver that hangs must not cost a job


def said(*command: str, environment: Mapping[str, str] | None = None) -> bytes:
    """Standard output of a program that ends well.

    Raises FileNotFoundError (or another OSError) if it cannot be started, CalledProcessError, with
    its `stderr` in bytes, if it fails, and TimeoutExpired after SECONDS: it is then killed with all
    that it started.
    """
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            output, errors = process.communicate(timeout=SECONDS)
        except BaseException:  # Ctrl-C too, which does not reach it
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, output, errors)
    return output
