"""Moving average of the trained weights, as Flow-GRPO evaluates them (flow_grpo/ema.py:33-50)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pcpo.config import EMA


class MovingAverage:
    """average += (1 - d) (weights - average), d = min((1 + s) / (10 + s), decay), s updates done.

    The original calls its step after each micro-batch of an update (train_sd3.py:954), so `calls`
    times; s grows only with the last of them. A call acts where (s + 1) % every == 0. So at
    `every` = 8 it takes the weights of updates 7, 15, ..., each of them `calls` times: once after
    the update, and the other times before the next one. With 4 calls the average's weights are
    19.5 updates old, over updates 201 to 600 of a run; with one call they would be 74.

    calls: `Experiment.average_calls`.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], config: EMA, calls: int = 1) -> None:
        self.parameters = parameters
        self.config = config
        self.calls = calls
        self.average = {name: p.detach().clone() for name, p in parameters.items()}

    def before_update(self, done: int) -> None:
        """The calls of all micro-batches of an update but the last, after `done` updates."""
        for _ in range(self.calls - 1):
            self._call(done)

    def after_update(self, done: int) -> None:
        """The call of an update's last micro-batch; `done` includes this update."""
        self._call(done)

    @torch.no_grad()
    def _call(self, done: int) -> None:
        if (done + 1) % self.config.every:
            return
        decay = min((1 + done) / (10 + done), self.config.decay)
        for name, parameter in self.parameters.items():
            self.average[name].lerp_(parameter.detach(), 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Use the average as the weights within the block."""
        own = {name: p.detach().clone() for name, p in self.parameters.items()}
        self._set(self.average)
        try:
            yield
        finally:
            self._set(own)

    @torch.no_grad()
    def _set(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self.parameters.items():
            parameter.copy_(values[name])
