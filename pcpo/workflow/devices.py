"""CUDA devices of this machine, claimed by one job at a time: a lock per device.

Snakemake counts GPUs but does not say which one a job got. Each job takes free ones here and sees
no other, so that two never share a device by accident; a killed job's locks are free at once.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import takewhile
from pathlib import Path

from pcpo.records.lock import Busy, alone
from pcpo.records.programs import said_by_driver

# One place for all users, whatever TMPDIR each has: they share the devices.
FOLDER = Path("/tmp")
# A number, or the UUID of a GPU or of a part of one; -1, NoDevFiles and the like are none.
_DEVICE = re.compile(r"[0-9]+|(GPU|MIG)-\S+")


def visible() -> list[str]:
    """Devices that this process may use: CUDA_VISIBLE_DEVICES, or all that nvidia-smi lists.

    As CUDA reads it, the list ends at the first entry that names no device.
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        entries = (device.strip() for device in chosen.split(","))
        return list(takewhile(_DEVICE.fullmatch, entries))
    # A GPU's line may have those of its MIG slices below it.
    count = sum(line.startswith("GPU ") for line in said_by_driver("-L"))
    return [str(number) for number in range(count)]


# A scheduler's number of the job that this is part of.
JOB_NUMBERS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")


def _scope() -> str:
    """Among whom devices are shared out: the runs of one scheduler's job, or all of this machine.

    A scheduler that confines jobs to their devices counts those of each from 0, so that two jobs'
    "0" are different ones.
    """
    if "CUDA_VISIBLE_DEVICES" not in os.environ:  # nobody gave this job any
        return ""
    number = next((os.environ[key] for key in JOB_NUMBERS if os.environ.get(key)), "")
    return f"{number}_" if number else ""


@contextmanager
def claim(count: int, wait: float = 60.0, folder: Path = FOLDER) -> Iterator[list[str]]:
    """Hold `count` free devices, as names for CUDA_VISIBLE_DEVICES.

    Waits up to `wait` seconds for other jobs to give theirs back. Raises ValueError if this
    machine has fewer, and BlockingIOError if they do not become free.
    """
    devices = visible()
    if len(devices) < count:
        raise ValueError(
            f"{count} CUDA devices are asked for and {len(devices)} are visible "
            f"({', '.join(devices) or 'none'}): use a machine with more, lower execution.gpus, or "
            "check CUDA_VISIBLE_DEVICES"
        )
    deadline = time.monotonic() + wait
    while True:
        with ExitStack() as held:
            own: list[str] = []
            for device in devices:
                if len(own) < count and _lock(held, folder, device):
                    own.append(device)
            if len(own) == count:
                yield own
                return
        if time.monotonic() >= deadline:
            raise BlockingIOError(
                f"{count} CUDA devices are asked for and {len(own)} of {len(devices)} are free; "
                "other runs hold the rest: wait for them, or start Snakemake with fewer gpus "
                "(--resources gpu=N)"
            )
        time.sleep(0.5)


def _lock(held: ExitStack, folder: Path, device: str) -> bool:
    path = folder / f"pcpo_device_{_scope()}{device}.lock".replace("/", "_")
    try:
        held.enter_context(alone(path, everyone=True))
    except Busy:
        return False
    return True
