"""Resolve an experiment, or a variant of one, at a scale from its layers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pcpo.config import files
from pcpo.config.at_scale import experiments_at, find
from pcpo.config.experiment import Experiment
from pcpo.config.files import ConfigError, Keys, Origin, explain, load_yaml, merge
from pcpo.config.overlay import Layer
from pcpo.config.preset import load_preset
from pcpo.config.scale import Scale, load_scale

OF_THE_FILE = ("name", "number", "scale")  # set by the file's name and the command


def load_experiment(experiment: int | str, scale: str = "paper") -> Experiment:
    """Resolve an experiment by number (1-10, or a variant's) or name at a scale.

    Raises ConfigError with the file and the key of each mistake.
    """
    return resolve_experiment(experiment, scale)[0]


def resolve_experiment(experiment: int | str, scale: str) -> tuple[Experiment, Keys]:
    """`load_experiment`, and the keys of the experiment with their origins."""
    chosen = load_scale(scale)
    name, variant = find(experiment, chosen)
    start = variant.of if variant else name
    path = files.CONFIG / "experiments" / f"{start}.yaml"
    method = _method(path)
    if chosen.preset:
        method += load_preset(chosen.preset).layers(start)
    sizes = chosen.layers(start)
    changes = [*variant.layers] if variant else []
    place = variant.file if variant else path
    merged = _own(name, scale, place)
    for where, layer in method:
        _check_keys(where, layer)
        merged = merge(merged, layer)
    full = "lora" in merged and merged["lora"] is None  # then a scale's ranks do not apply
    for _, layer in sizes:
        merged = merge(merged, layer.without("lora") if full else layer)
    for where, layer in changes:
        _check_keys(where, layer)
        if "algorithm" in layer:
            raise ConfigError(f"{where}: algorithm: a variant has that of {start}; remove it")
        merged = merge(merged, layer)
    try:
        resolved = Experiment(**merged)
    except ValidationError as error:
        raise ConfigError(explain(error, [*method, *sizes, *changes], str(place))) from error
    _check_sources(resolved, chosen, place)
    return resolved, merged


def _own(name: str, scale: str, path: Path) -> Keys:
    """The values that an experiment has from the name of its file and from the command."""
    own = Keys(name=name, number=int(name.split("_")[0]), scale=scale)
    places = (path, path, files.CONFIG / "scale" / f"{scale}.yaml")
    for (key, value), place in zip(own.items(), places, strict=True):
        own.origins[key] = (Origin(str(place), None, value),)
    return own


def _method(path: Path) -> list[Layer]:
    """The defaults of an experiment's algorithm, then its own file."""
    place = files.CONFIG / "defaults.yaml"
    defaults = load_yaml(place, "file")
    own = load_yaml(path, "experiment")
    algorithm = str(own.get("algorithm"))
    if algorithm not in defaults:
        known = ", ".join(key for key in defaults if key != "common")
        raise ConfigError(f"{path}: algorithm: unknown '{algorithm}'; known: {known}")
    for block in ("common", algorithm):
        if not isinstance(defaults.get(block), Keys):
            raise ConfigError(f"{place}: {block}: expected keys and values")
    shared = [Layer(f"{place} ({block})", defaults[block]) for block in ("common", algorithm)]
    return [*shared, Layer(str(path), own)]


def _check_keys(where: str, layer: Keys) -> None:
    """Refuse keys that would change the experiment's name, which is the file's name."""
    for key in OF_THE_FILE:
        if key in layer:
            raise ConfigError(f"{where}: {key}: unknown key")


def _check_sources(resolved: Experiment, scale: Scale, path: Path) -> None:
    """Check that the scale has all that the experiment names."""
    sources: list[tuple[str, Mapping[str, Any], str]] = [
        (resolved.model, scale.models, "models"),
        (resolved.reward.name, scale.rewards, "rewards"),
        *((p, scale.prompts, "prompts") for p in resolved.prompt_sets),
        *((p, scale.alignment, "alignment") for p in resolved.alignment),
    ]
    for needed, table, key in sources:
        if needed not in table:
            raise ConfigError(
                f"{path}: '{needed}' is unknown at scale {scale.name}: "
                f"{files.CONFIG / 'scale' / scale.name}.yaml has no {key}.{needed}; known: "
                f"{', '.join(table)}"
            )


def load_experiments(scale: str = "paper") -> list[Experiment]:
    """All experiments of a scale, resolved there: the paper's in its order, then others."""
    return [load_experiment(name, scale) for name in experiments_at(scale)]
