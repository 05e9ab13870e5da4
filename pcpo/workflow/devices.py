"""CUDA devices of this machine, claimed by one job at a time: a lock per device.

Snakemake counts GPUs but does not assign them to jobs. Each job claims free ones here and sees no
others, so that two jobs never share a device by accident. A killed job's locks are free at once.
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
from pcpo.records.programs import driver_lines

# One place for all users, whatever their TMPDIR is: they share the devices.
FOLDER = Path("/tmp")
# A number, or the UUID of a GPU or of a part of one; -1, NoDevFiles and the like are not devices.
_DEVICE = re.compile(r"[0-9]+|(GPU|MIG)-\S+")


def visible() -> list[str]:
    """Devices that this process may use: CUDA_VISIBLE_DEVICES, or all that nvidia-smi lists.

    As in CUDA, the list ends at the first entry that names no device.
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        entries = (device.strip() for device in chosen.split(","))
        return list(takewhile(_DEVICE.fullmatch, entries))
    # The lines of a GPU's MIG slices may follow the GPU's own line.
    count = sum(line.startswith("GPU ") for line in driver_lines("-L"))
    return [str(number) for number in range(count)]


# Variables with the number of the scheduler's job that this process belongs to.
JOB_NUMBERS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "JOB_ID")


def _scope() -> str:
    """Which processes share the devices: those of one scheduler's job, or all of this machine.

    A scheduler that restricts jobs to their own devices counts each job's from 0, so device "0" of
    two jobs is not the same.
    """
    if "CUDA_VISIBLE_DEVICES" not in os.environ:  # no scheduler gave this job any
        return ""
    number = next((os.environ[key] for key in JOB_NUMBERS if os.environ.get(key)), "")
    return f"{number}_" if number else ""


@contextmanager
def claim(count: int, wait: float = 60.0, folder: Path = FOLDER) -> Iterator[list[str]]:
    """Hold `count` free devices, as names for CUDA_VISIBLE_DEVICES.

    Waits up to `wait` seconds for other jobs to release theirs. Raises ValueError if this machine
    has fewer, and BlockingIOError if they do not become free. Slices of a GPU (MIG) do not count
    where several devices are asked for.
    """
    devices = visible()
    if count > 1:  # a process sees one slice of a GPU alone
        devices = [device for device in devices if not device.startswith("MIG-")]
    if len(devices) < count:
        raise ValueError(
            f"{count} CUDA devices are asked for and {len(devices)} are visible "
            f"({', '.join(devices) or 'none'}): use a machine with more, lower execution.gpus, or "
            "check CUDA_VISIBLE_DEVICES; a slice of a GPU (MIG) serves a job on one device alone"
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
