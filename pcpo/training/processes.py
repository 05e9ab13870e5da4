"""Several processes on one run: each samples and trains its share of every iteration's images.

Prompts, noise, groups and advantages are computed from the whole iteration by every process, so
they do not depend on how many there are; gradients are summed once per update, after all of its
images. accelerate launches the processes and sets up the group.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed.tensor import DTensor

# An iteration's slowest step (a captioner on one process, a checkpoint's write) must fit into it.
TIMEOUT = timedelta(hours=1)


@dataclass(frozen=True)
class Processes:
    """This process among those that share a run; a single one by default."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    @classmethod
    def start(cls, device: str) -> Processes:
        """Join the group that the launcher announced in the environment, or stay alone.

        Raises ValueError where CUDA is asked for and this process has no device.
        """
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ValueError(
                "no CUDA device is visible, and the scale runs on CUDA: use a machine with a GPU "
                "(check CUDA_VISIBLE_DEVICES), or --device cpu for a very slow run"
            )
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls(device=device)
        from accelerate import PartialState

        state = PartialState(cpu=device == "cpu", timeout=TIMEOUT)
        return cls(state.process_index, state.num_processes, str(state.device))

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def share(self, count: int) -> range:
        """This process's contiguous part of `count` items.

        Raises ValueError where they do not divide.
        """
        if count % self.size:
            raise ValueError(
                f"{count} micro-batches of an update do not divide among {self.size} processes; "
                "change execution.gpus or batch.micro_batch"
            )
        part = count // self.size
        return range(self.rank * part, (self.rank + 1) * part)

    def gather(self, own: Tensor) -> Tensor:
        """`(N, ...)` of every process -> `(size, N, ...)` on the CPU, in order of rank."""
        if self.size == 1:
            return own.cpu()[None]
        own = own.to(self.device).contiguous()
        parts = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(parts, own)
        return torch.stack(parts).cpu()

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any process."""
        return bool(self.gather(torch.tensor([flag])).any())

    def sum_gradients(self, parameters: list[nn.Parameter]) -> None:
        """Sum gradients over the processes; sharded ones were summed by their backward."""
        if self.size == 1:
            return
        waiting = [
            dist.all_reduce(p.grad, async_op=True)
            for p in parameters
            if p.grad is not None and not isinstance(p, DTensor)
        ]
        for handle in waiting:
            handle.wait()

    def barrier(self) -> None:
        if self.size > 1:
            dist.barrier()

    def meeting(self) -> Callable[[], None]:
        """A barrier that waits for days: for what depends on another run, beyond `TIMEOUT`.

        All make it together; each calls it when it is there.
        """
        if self.size == 1:
            return lambda: None
        group = dist.new_group(backend="gloo", timeout=timedelta(days=30))
        return partial(dist.barrier, group=group)

    def leave(self) -> None:
        """Take the group down, at the end of a command."""
        if self.size > 1:
            dist.destroy_process_group()
