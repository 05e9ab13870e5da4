"""Which images are sampled between a base model and its aligned models (appendix F of the paper).

A configuration with a block `reward_guidance` has a frame and images of it, in every training seed
of its models: the last checkpoint of arm `pcpo` under each strength, or of two configurations under
each pair of strengths.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from pcpo.config.files import ConfigError, Name, Record

if TYPE_CHECKING:
    from pcpo.config.experiment import Experiment

ARM = "pcpo"  # whose last checkpoint guides
Strengths = tuple[float, ...]  # one for each aligned model


class RewardGuidance(Record):
    """The strengths of the aligned model, and the images that are sampled under each."""

    strengths: Strengths  # rising from 0, the base model; 1 is the aligned model
    # Number of another configuration of the same base model and sampler, whose aligned model is
    # mixed in too: a grid of both models' strengths (Figure 14).
    beside: int | None = None
    prompts: Name
    count: int = Field(gt=0)  # at most so many of the prompts, evenly spread
    images_per_prompt: int = Field(gt=0)

    @field_validator("strengths")
    @classmethod
    def _rising(cls, strengths: Strengths) -> Strengths:
        if list(strengths) != sorted(set(strengths)) or not {0.0, 1.0} <= set(strengths):
            raise ValueError("give rising numbers with 0 (the base model) and 1 (the aligned one)")
        return strengths

    @property
    def points(self) -> list[Strengths]:
        """The strengths of each set of images, the base model's first."""
        return [*product(self.strengths, repeat=1 if self.beside is None else 2)]


def folder_of(strengths: Sequence[float]) -> str:
    """The name of a point's folder of images: 0.5, or 0.5_1 for two models."""
    return "_".join(f"{strength:g}" for strength in strengths)


def strengths_of(folder: str) -> Strengths:
    """The strengths of a name from `folder_of`. Raises ValueError for another name."""
    return tuple(float(strength) for strength in folder.split("_"))


def guided(experiments: Iterable[Experiment]) -> dict[str, tuple[Experiment, ...]]:
    """Configurations with reward guidance -> those whose aligned models are mixed, its own first.

    A configuration whose `beside` is not among the experiments is left out. Raises ConfigError for
    two configurations that sample differently.
    """
    numbered = {e.number: e for e in experiments}
    found: dict[str, tuple[Experiment, ...]] = {}
    for own in numbered.values():
        if own.reward_guidance is None:
            continue
        other = own.reward_guidance.beside
        if other is None:
            found[own.name] = (own,)
        elif other in numbered:
            found[own.name] = (own, numbered[other])
            _check_alike(own, numbered[other])
    return found


def _check_alike(own: Experiment, other: Experiment) -> None:
    for key in ("model", "sampler", "precision"):
        if getattr(own, key) != getattr(other, key):
            raise ConfigError(
                f"{own.name}: reward_guidance.beside: configuration {other.number} has another "
                f"{key} at scale {own.scale}; models of one base and one sampler can be mixed"
            )


def seeds_of(models: Sequence[Experiment], seeds: Sequence[int]) -> list[int]:
    """The training seeds that all of these configurations have."""
    return [s for s in seeds if all(s in model.training_seeds(seeds) for model in models)]


def check_columns(experiments: Sequence[Experiment]) -> None:
    """Raise ConfigError where the configurations of one figure have other strengths.

    The figure has a column of images for each.
    """
    strengths = [e.reward_guidance.strengths for e in experiments if e.reward_guidance]
    for experiment, own in zip(experiments, strengths, strict=True):
        if own != strengths[0]:
            raise ConfigError(
                f"{experiment.name}: reward_guidance.strengths: differ from those of "
                f"{experiments[0].name}, which is in the same figure; give both the same"
            )
