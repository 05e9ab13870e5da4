"""What a file lays over experiments: first its `all`, then its `experiments.<name>`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from pcpo.config.files import ConfigError, Record


class Overlay(Record):
    """The keys of a scale's or a preset's file that belong to experiments.

    They are checked where they are laid over one (`load_experiment`).
    """

    file: str
    all: dict[str, Any] = Field(default_factory=dict)
    experiments: dict[str, dict[str, Any]] = Field(default_factory=dict)

    def layers(self, experiment: str) -> list[tuple[str, dict[str, Any]]]:
        """What is laid over an experiment, as (name for messages, keys); later ones win."""
        return [
            (f"{self.file} (all)", self.all),
            (f"{self.file} (experiments.{experiment})", self.experiments.get(experiment, {})),
        ]

    def check_names(self, known: Sequence[str]) -> None:
        """Raises ConfigError for an experiment that is not among the known ones."""
        for key in self.experiments:
            if key not in known:
                raise ConfigError(f"{self.file}: experiments.{key}: there is no such experiment")
