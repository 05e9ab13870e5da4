"""Which experiments a scale has: those of config/experiments/, and its variants."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from pcpo.config import files
from pcpo.config.files import ConfigError
from pcpo.config.scale import Scale, experiment_names, load_scale
from pcpo.config.variant import Variant, variants
from pcpo.names import shown


def experiments_at(scale: str) -> list[str]:
    """Names of all experiments of a scale, by number.

    Raises ConfigError for two of the same number, and for mistakes in the files that are read.
    """
    return _names(load_scale(scale), variants())


def files_of(name: str) -> list[Path]:
    """The files in which an experiment is written, besides the defaults, the scale and presets."""
    own = variants().get(name)
    start = own.of if own else name
    return [files.CONFIG / "experiments" / f"{start}.yaml", *([own.file] if own else [])]


def find(experiment: int | str, scale: Scale) -> tuple[str, Variant | None]:
    """The name of an experiment, from its name or number, and the variant that it is.

    Raises ConfigError where the scale has none; the message says at which scales a variant exists.
    """
    every = variants()
    names = _names(scale, every)
    if found := _matching(experiment, names):
        return found, every.get(found)
    if elsewhere := _matching(experiment, [*every]):
        variant = every[elsewhere]
        raise ConfigError(
            f"experiment {shown(experiment)}: {variant.name} ({variant.file}) exists at scale "
            f"{', '.join(variant.scales)} only, not at {scale.name}"
        )
    if left_out := _matching(experiment, experiment_names()):
        raise ConfigError(
            f"experiment {left_out} is not at scale {scale.name}, whose only_experiments are "
            f"{', '.join(scale.only_experiments or ())}"
        )
    raise ConfigError(
        f"unknown experiment {shown(experiment)} in {files.CONFIG / 'experiments'}; "
        f"known: {', '.join(names)}"
    )


def _names(scale: Scale, every: dict[str, Variant]) -> list[str]:
    plain = experiment_names()
    if scale.only_experiments is not None:
        plain = [name for name in plain if name in scale.only_experiments]
    own = [variant.name for variant in every.values() if scale.name in variant.scales]
    names = sorted([*plain, *own], key=lambda name: (number_of(name), name))
    for one, other in pairwise(names):
        if number_of(one) == number_of(other):
            raise ConfigError(
                f"{files.CONFIG}: {one} and {other} have one number, and both are at scale "
                f"{scale.name}; rename one"
            )
    return names


def _matching(experiment: int | str, names: Sequence[str]) -> str | None:
    text = str(experiment)
    digits = text.lstrip("0") if text.isdecimal() else None
    return next((n for n in names if n == text or str(number_of(n)) == digits), None)


def number_of(name: str) -> int:
    """The number with which an experiment's name begins."""
    return int(name.partition("_")[0])
