"""What is chosen for a workflow: its scale, experiments, training seeds and paths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pcpo.config import Experiment, Scale
from pcpo.paths import Paths


@dataclass(frozen=True)
class Choice:
    """All files of a workflow depend on these four; `experiments` are those chosen, by name."""

    scale: Scale
    experiments: Mapping[str, Experiment]
    seeds: Sequence[int]
    paths: Paths

    @cached_property
    def _numbered(self) -> dict[int, Experiment]:
        return {experiment.number: experiment for experiment in self.experiments.values()}

    def _has(self, numbers: Iterable[int]) -> bool:
        return {*numbers} <= {*self._numbered}

    def _chosen(self, numbers: Iterable[int]) -> list[Experiment]:
        return [self._numbered[number] for number in numbers]

    @property
    def _first_seed(self) -> Sequence[int]:
        return self.seeds[:1]

    @cached_property
    def base_images(self) -> dict[str, Experiment]:
        """Folder of base-model images -> the first of the experiments that share it."""
        measured = [e for e in self.experiments.values() if e.measured]
        return {e.base_images: e for e in reversed(measured)}

    def of(self, wildcards: Any) -> Experiment:
        """The experiment of a job: its own, or one that shares its base-model images."""
        if name := wildcards.get("experiment"):
            return self.experiments[name]
        return self.base_images[wildcards.base]

    @cached_property
    def answered(self) -> bool:
        """Whether people have answered in the preference study."""
        return self.paths.answered()
