"""Resolve an experiment at a scale from its layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from pcpo.config import files
from pcpo.config.experiment import Experiment
from pcpo.config.files import ConfigError, explain, load_yaml, merge
from pcpo.config.preset import load_preset
from pcpo.config.scale import experiment_names, load_scale
from pcpo.names import shown


def load_experiment(experiment: int | str, scale: str = "paper") -> Experiment:
    """Resolve an experiment by number (1-10) or name at a scale.

    Raises ConfigError with the file and the key of each mistake.
    """
    names = experiment_names()
    text = str(experiment)
    number = f"{text.lstrip('0').zfill(2)}_"
    matches = [n for n in names if n == text or (text.isdecimal() and n.startswith(number))]
    if not matches:
        raise ConfigError(
            f"unknown experiment {shown(experiment)} in {files.CONFIG / 'experiments'}; "
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
    chosen = load_scale(scale)
    scale_path = str(files.CONFIG / "scale" / f"{scale}.yaml")
    method: list[tuple[str, dict[str, Any]]] = [
        (f"{defaults_path} (common)", defaults["common"]),
        (f"{defaults_path} ({algorithm})", defaults[algorithm]),
        (str(path), own),
        *(load_preset(chosen.preset).layers(name) if chosen.preset else []),
    ]
    of_scale = chosen.layers(name)
    merged: dict[str, Any] = {"name": name, "number": int(name.split("_")[0]), "scale": scale}
    for _, layer in method:
        merged = merge(merged, layer)
    full = "lora" in merged and merged["lora"] is None  # whatever a scale says of ranks
    arms = merged.get("arms")
    for where, layer in of_scale:
        _check_arms(where, layer, arms)
        merged = merge(merged, layer)
    if full:
        merged["lora"] = None
    layers = method + of_scale
    try:
        resolved = Experiment(**merged)
    except ValidationError as error:
        raise ConfigError(explain(error, layers, str(path))) from error
    sources: list[tuple[str, Mapping[str, Any], str]] = [
        (resolved.model, chosen.models, "models"),
        (resolved.reward.name, chosen.rewards, "rewards"),
        *((p, chosen.prompts, "prompts") for p in resolved.prompt_sets),
        *((p, chosen.alignment, "alignment") for p in resolved.alignment),
    ]
    for needed, table, key in sources:
        if needed not in table:
            raise ConfigError(
                f"{path}: '{needed}' is unknown at scale {scale}: {scale_path} has no "
                f"{key}.{needed}; known: {', '.join(table)}"
            )
    return resolved


def _check_arms(where: str, layer: dict[str, Any], known: Any) -> None:
    """A scale may leave arms of the experiment out; other arms are not its business."""
    arms = layer.get("arms")
    if not isinstance(arms, list) or not isinstance(known, list | tuple):
        return  # a wrong type is reported with the other mistakes
    added = [str(arm) for arm in arms if arm not in known]
    if added:
        raise ConfigError(
            f"{where}: arms: a scale may leave arms out, not add {', '.join(added)}; "
            f"the experiment has {', '.join(map(str, known))}"
        )


def load_experiments(scale: str = "paper") -> list[Experiment]:
    """All experiments of config/experiments, resolved at `scale`, in the paper's order."""
    return [load_experiment(name, scale) for name in experiment_names()]
