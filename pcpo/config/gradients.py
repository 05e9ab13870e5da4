"""At which checkpoints of a training the gradient of each timestep is measured (docs/gradients.md).

A configuration with a block `gradients` has a frame for each of its arms and training seeds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from pcpo.config.files import Name, Record

if TYPE_CHECKING:
    from pcpo.config.experiment import Experiment

START, EARLY, END = 0.0, 0.2, 1.0
PARTS = 2


class Gradients(Record):
    """The arms whose runs are measured, and when, in shares of the training."""

    # Rising from 0, the base model, to 1, the last checkpoint; two or more. Between the ends the
    # nearest checkpoint is taken.
    at: tuple[float, ...] = (START, EARLY, END)
    # Those that the scale trains are measured.
    arms: tuple[Name, ...] = Field(default=("baseline", "matching", "pcpo"), min_length=1)

    @field_validator("at")
    @classmethod
    def _rising(cls, at: tuple[float, ...]) -> tuple[float, ...]:
        if list(at) != sorted(set(at)) or (at[:1], at[-1:]) != ((START,), (END,)):
            raise ValueError("give rising numbers from 0 (the base model) to 1 (the last epoch)")
        return at


def measured_arms(experiment: Experiment) -> list[str]:
    """The trained arms whose gradients are measured; none without `gradients`."""
    chosen = experiment.gradients.arms if experiment.gradients is not None else ()
    return [arm for arm in chosen if arm in experiment.arms]


def measured_epochs(experiment: Experiment) -> list[int]:
    """The epochs that are measured, in the order of `at`; none without `gradients`.

    0 is the base model, all others have a checkpoint.
    """
    e = experiment
    saved = [0, *e.saved_epochs]
    shares = e.gradients.at if e.gradients is not None else ()
    return [min(saved, key=lambda epoch: abs(epoch - share * e.epochs)) for share in shares]


def parts_of(micro_batch: int) -> int:
    """Groups of images, between which noise is measured, in a micro-batch of so many images.

    One where they are no even number.
    """
    return PARTS if micro_batch % PARTS == 0 else 1
