"""Several processes on one run: each samples and trains its share of every iteration's images.

Every process computes prompts, noise, groups and advantages from the whole iteration, so they do
not depend on the number of processes. Gradients are summed once per update, after all of its
images. accelerate launches the processes and sets up the group.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import torch
from torch import Tensor, nn
from torch import distributed as dist

# Longer than the slowest step of an iteration: a captioner on one process; the checkpoint and the
# resume state of FLUX with all weights, 190 GB, which one process writes while the others wait. A
# process that fails ends the others within a minute, without it.
TIMEOUT = timedelta(hours=6)


@dataclass(frozen=True)
class Processes:
    """This process among those that share a run; a single one by default."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    @classmethod
    def start(cls, device: str) -> Processes:
        """Join the group that the launcher set in the environment; without one, run alone.

        In a group Ctrl-C ends the process at once, unless it has a handler of its own.
        Raises ValueError if CUDA is requested and this process has no device.
        """
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise ValueError(
                "no CUDA device is visible, and the scale runs on CUDA: use a machine with a GPU "
                f"(check CUDA_VISIBLE_DEVICES, and that its driver is new enough for CUDA "
                f"{torch.version.cuda}), or --device cpu for a very slow run"
            )
        if int(os.environ.get("WORLD_SIZE", "1")) == 1:
            return cls(device=device)
        from accelerate import PartialState

        own = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if own and threading.current_thread() is threading.main_thread():
            # A process that waits for another one in a collective operation runs no Python, so that
            # Ctrl-C would not end it.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
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
        """Sum gradients over the processes; the backward pass has summed sharded ones already."""
        if self.size == 1:
            return
        # Here, because the import takes a second, and a single process needs none.
        from torch.distributed.tensor import DTensor

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
        """A barrier that waits for days, for a wait on another run that may exceed `TIMEOUT`.

        All processes create it together; each calls it when it arrives.
        """
        if self.size == 1:
            return lambda: None
        group = dist.new_group(backend="gloo", timeout=timedelta(days=30))
        return partial(dist.barrier, group=group)

    def leave(self) -> None:
        """Close the group at the end of a command."""
        if self.size > 1:
            dist.destroy_process_group()
