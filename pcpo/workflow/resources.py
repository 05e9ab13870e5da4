"""What a job requests: GPUs, and a scheduler's cores, memory and time.

On one machine, memory and time limit nothing. A profile's `set-resources` overrides all of them.
A job that was killed for memory or time is started again with more, by its `attempt`.
"""

from __future__ import annotations

from pcpo.config import Experiment, Scale

# Host memory of a process at a real scale, in GB: the weights in the precision of training (FLUX
# 48, SD3.5 10), a text encoder, rewards, trajectories. [assumed]
HOST_GIGABYTES = {"sd14": 24, "sd15": 24, "sd35m": 40, "flux": 64}
LARGEST = 64  # of a base model that is not listed
CORES_PER_GPU = 4  # for a process and its compiler, and for images [assumed]


def gpus(scale: Scale, experiment: Experiment | None, limit: int | None, here: int | None) -> int:
    """GPUs that a job requests: one, or as many as the training of `experiment` shares.

    limit: Snakemake's limit (`--resources gpu=N`). It would cut the request to that number, so a
    number that divides the micro-batches is chosen first. here: GPUs of this machine; None if a
    scheduler assigns them.
    """
    if scale.device != "cuda":
        return 0
    if experiment is None:
        return 1
    most = experiment.execution.gpus if here is None else here
    return experiment.processes_on(max(1, most if limit is None else min(most, limit)))


def cores(gpu: int) -> int:
    """Cores of a cluster's job; Snakemake's `threads` does not set them."""
    return max(1, CORES_PER_GPU * gpu)


def memory(
    scale: Scale, small: int, experiment: Experiment | None, attempt: int, training: bool = False
) -> int:
    """Host memory in MB: `small` at a scale of small models, else the sum over the processes.

    `small` includes Snakemake itself, which runs twice inside a cluster's job, about 175 MB each.
    """
    base = small
    if scale.device == "cuda" and experiment is not None:
        processes = experiment.execution.gpus if training else 1
        base = 1000 * HOST_GIGABYTES.get(experiment.model, LARGEST) * processes
    return base * (1 + attempt) // 2


def minutes(scale: Scale, hours: int, attempt: int) -> int:
    """Wall time: `hours` at a real scale, one hour at a small one."""
    return 60 * (hours if scale.device == "cuda" else 1) * attempt
