"""What follows a training without changing it: progress, trackers, previews."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]


def _nothing(row: Row) -> None:
    """Follow nothing."""


@dataclass(frozen=True)
class Observer:
    """Functions that a training calls. What they raise ends it.

    update: after each gradient update, with its row of `frames.UPDATES`, in the first process.
    validation: after each validation, with its row of `frames.VALIDATION`, in the first process.
    epoch: before the first epoch (0) and after each one, in every process. The policy then has the
        weights that a checkpoint of the epoch holds.
    """

    update: Callable[[Row], None] = _nothing
    validation: Callable[[Row], None] = _nothing
    epoch: Callable[[int], None] | None = None
