"""Moving average of the trained weights, as Flow-GRPO evaluates them (flow_grpo/ema.py:33-50)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pcpo.config import EMA


class MovingAverage:
    """average += (1 - d) (weights - average) at every `every`-th update, d as in the source.

    The original steps once per micro-batch while its counter stands still, so that one update may
    count several times; here an update counts once.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], config: EMA) -> None:
        self.parameters = parameters
        self.config = config
        self.average = {name: p.detach().clone() for name, p in parameters.items()}

    @torch.no_grad()
    def step(self, update: int) -> None:
        """After gradient update `update`, counted from 1 over the whole run."""
        if update % self.config.every:
            return
        decay = min((1 + update) / (10 + update), self.config.decay)
        for name, parameter in self.parameters.items():
            self.average[name].lerp_(parameter.detach(), 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The average in place of the weights."""
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
