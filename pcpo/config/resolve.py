"""Resolve an experiment at a scale from its layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from pcpo.config import files
from pcpo.config.experiment import Experiment
from pcpo.config.files import ConfigError, explain, load_yaml, merge
from pcpo.config.scale import experiment_names, load_scale


def load_experiment(experiment: int | str, scale: str = "paper") -> Experiment:
    """Resolve an experiment by number (1-10) or name at a scale.

    Raises ConfigError with the file and the key of each mistake.
    """
    names = experiment_names()
    matches = [
        name
        for name in names
        if name == experiment
        or (str(experiment).isdigit() and name.split("_")[0] == f"{int(experiment):02d}")
    ]
    if not matches:
        raise ConfigError(
            f"unknown experiment '{experiment}' in {files.CONFIG / 'experiments'}; "
            f"known: {', '.join(names)}"
        )
    name = matches[0]
    defaults_path = files.CONFIG / "defaults.yaml"
    defaults = load_yaml(defaults_path, "file")
    path = files.CONFIG / "experiments" / f"{name}.yaml"
    own = load_yaml(path, "experiment")
    algorithm = own.get("algorithm")
    if algorithm not in defaults:
        known = ", ".join(key for key in defaults if key != "common")
        raise ConfigError(f"{path}: algorithm: unknown '{algorithm}'; known: {known}")
    sizes = load_scale(scale)
    scale_path = str(files.CONFIG / "scale" / f"{scale}.yaml")
    layers: list[tuple[str, dict[str, Any]]] = [
        (f"{defaults_path} (common)", defaults["common"]),
        (f"{defaults_path} ({algorithm})", defaults[algorithm]),
        (str(path), own),
        (f"{scale_path} (all)", sizes.all),
        (f"{scale_path} (experiments.{name})", sizes.experiments.get(name, {})),
    ]
    merged: dict[str, Any] = {"name": name, "number": int(name.split("_")[0]), "scale": scale}
    for _, layer in layers:
        merged = merge(merged, layer)
    if own.get("lora", "absent") is None:
        merged["lora"] = None  # full fine-tuning, whatever a scale says of ranks
    try:
        resolved = Experiment(**merged)
    except ValidationError as error:
        raise ConfigError(explain(error, layers, str(path))) from error
    sources: list[tuple[str, Mapping[str, Any], str]] = [
        (resolved.model, sizes.models, "models"),
        (resolved.reward.name, sizes.rewards, "rewards"),
        *((p, sizes.prompts, "prompts") for p in (resolved.prompts, *resolved.alignment)),
    ]
    for needed, table, key in sources:
        if needed not in table:
            raise ConfigError(
                f"{path}: '{needed}' is unknown at scale {scale}: {scale_path} has no "
                f"{key}.{needed}; known: {', '.join(table)}"
            )
    return resolved


def load_experiments(scale: str = "paper") -> list[Experiment]:
    """All experiments of config/experiments, resolved at `scale`, in the paper's order."""
    return [load_experiment(name, scale) for name in experiment_names()]
