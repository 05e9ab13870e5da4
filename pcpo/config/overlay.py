"""The keys of a file that override experiments: first its `all`, then `experiments.<name>`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

from pydantic import Field, GetPydanticSchema, WrapValidator

from pcpo.config.files import ConfigError, Keys, Record


def _as_read(value: Any, check: Callable[[Any], Any]) -> Any:
    """Pydantic's check without its copy, which would lose the lines of the keys."""
    check(value)
    return value


_AS_DICT = GetPydanticSchema(lambda source, handler: handler(dict[str, Any]))
Block = Annotated[Keys, _AS_DICT, WrapValidator(_as_read)]


OF_EXPERIMENTS = ("all", "experiments")  # keys of such a file that override experiments


class Layer(NamedTuple):
    """Keys that override those of an experiment, and the name of their place in messages."""

    where: str
    keys: Keys


class Overlay(Record):
    """The keys of a scale's or a preset's file that belong to experiments.

    They are checked where they override one (`load_experiment`).
    """

    file: str
    all: Block = Field(default_factory=Keys)
    experiments: dict[str, Block] = Field(default_factory=dict)

    def layers(self, experiment: str) -> list[Layer]:
        """The layers that override an experiment; later ones override earlier ones."""
        return [
            Layer(f"{self.file} (all)", self.all),
            Layer(
                f"{self.file} (experiments.{experiment})", self.experiments.get(experiment, Keys())
            ),
        ]

    def check_names(self, known: Sequence[str]) -> None:
        """Raises ConfigError for an unknown experiment."""
        for key in self.experiments:
            if key not in known:
                raise ConfigError(
                    f"{self.file}: experiments.{key}: there is no such experiment in "
                    "config/experiments/; sizes of a variant are in its own file"
                )
