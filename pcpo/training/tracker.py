"""Trackers of a training, through accelerate's: TensorBoard in the run's folder, or W&B.

They get every number of the frames, preview images and the resolved configuration. Steps are
gradient updates, counted over the run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from pcpo.records.digest import SHORT, of_text
from pcpo.training.observer import Observer, Row
from pcpo.training.run import Run

# Tracker -> the packages of which one must be installed.
PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",)}
FOLDER = "tensorboard"  # in the run's folder
PROJECT = "pcpo"  # of W&B


def check(kind: str) -> None:
    """Raise ValueError if a tracker's package is missing; `none` needs none."""
    needed = PACKAGES.get(kind, ())
    if needed and not any(find_spec(name) for name in needed):
        raise ValueError(
            f"tracker: {kind} of the scale needs the package {' or '.join(needed)}, which is not "
            "installed: install it (pip), or set tracker: none"
        )


class Tracker:
    """A tracker of one run, in its first process."""

    def __init__(self, kind: str, run: Run, folder: Path) -> None:
        from accelerate import PartialState
        from accelerate.tracking import TensorBoardTracker, WandBTracker

        self.updates = run.experiment.gradient_updates
        self.options: dict[str, Any] = {}
        name = "/".join(str(value) for value in (run.experiment.scale, *run.columns.values()))
        if kind == "tensorboard":
            self.tracker: Any = TensorBoardTracker(FOLDER, folder)
            self.options = {"dataformats": "NHWC"}
        else:
            # The same run goes on after a stop.
            identifier = of_text(f"{folder.absolute()} {name}")[:SHORT]
            self.tracker = WandBTracker(PROJECT, name=name, id=identifier, resume="allow")
        if run.processes.size == 1:  # several have it already; accelerate's logger needs it
            PartialState(cpu=run.policy.device.type == "cpu")
        self.tracker.start()
        parts = {"experiment": run.experiment, "arm": run.arm}
        values = {key: part.model_dump(mode="json") for key, part in parts.items()}
        self.tracker.store_init_configuration(flat(values | {"seed": run.seed}))

    @property
    def observer(self) -> Observer:
        return Observer(update=self._update, validation=self._validation)

    def _update(self, row: Row) -> None:
        step = (row["epoch"] - 1) * self.updates + row["update"]
        self.tracker.log(numbers("train", row), step=step)

    def _validation(self, row: Row) -> None:
        self.tracker.log(numbers("validation", row), step=row["epoch"] * self.updates)

    def images(self, epoch: int, images: np.ndarray) -> None:
        """Log previews: uint8 (k, 3, H, W)."""
        pictures = {"previews": images.transpose(0, 2, 3, 1)}
        self.tracker.log_images(pictures, step=epoch * self.updates, **self.options)


@contextmanager
def tracked(kind: str, run: Run, folder: Path) -> Iterator[Tracker | None]:
    """A tracker of this kind within the block; None for `none`, and in the other processes."""
    if kind == "none" or not run.processes.is_main:
        yield None
        return
    own = Tracker(kind, run, folder)
    try:
        yield own
    finally:
        own.tracker.finish()


def numbers(prefix: str, row: Row) -> dict[str, float]:
    """The numbers of a frame's row, as `<prefix>/<column>`; texts and missing values are left out.

    Texts are in the configuration.
    """
    return {
        f"{prefix}/{key}": value
        for key, value in row.items()
        if isinstance(value, int | float) and not math.isnan(value)
    }


def flat(values: dict[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    """Nested values by dotted keys; lists and null as JSON text."""
    found: dict[str, bool | int | float | str] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            plain = isinstance(value, bool | int | float | str)
            found[f"{prefix}{key}"] = value if plain else json.dumps(value)
    return found
