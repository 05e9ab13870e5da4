"""Configuration files: reading, layering, and messages that name the file and the key."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

VARIABLE = "PCPO_CONFIG"  # names another folder than this checkout's
CONFIG = Path(os.environ.get(VARIABLE) or Path(__file__).resolve().parents[2] / "config")


def use_folder(folder: Path) -> None:
    """Take all configuration from `folder`, here and in the commands that this process starts."""
    global CONFIG
    CONFIG = folder
    os.environ[VARIABLE] = str(folder)


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names the file and the key."""


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def load_yaml(path: Path, what: str) -> dict[str, Any]:
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise ConfigError(f"unknown {what} '{path.stem}': no file {path}; known: {known}")
    try:
        data = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected keys and values at the top level")
    return data


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = (
            merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return merged


def leaves(data: Mapping[str, Any], prefix: str = "") -> list[str]:
    keys: list[str] = []
    for key, value in data.items():
        dotted = f"{prefix}{key}"
        keys += leaves(value, dotted + ".") if isinstance(value, dict) else [dotted]
    return keys


def contains(data: Any, location: tuple[Any, ...]) -> bool:
    for key in location:
        if not isinstance(data, dict) or key not in data:
            return False
        data = data[key]
    return True


def explain(
    error: ValidationError, layers: list[tuple[str, dict[str, Any]]], main: str | None = None
) -> str:
    """One line per mistake, with the file of the layer that set the key last.

    `main` is named where a mistake concerns several keys together.
    """
    lines = []
    for item in error.errors():
        location = item["loc"]
        source = next(
            (
                name
                for n in range(len(location), 0, -1)
                for name, layer in reversed(layers)
                if contains(layer, location[:n])
            ),
            main or layers[-1][0],
        )
        key = ".".join(map(str, location))
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "unknown key"
        elif item["type"] == "missing":
            message = "this key is missing"
        else:
            message += "" if isinstance(item["input"], dict) else f", got {item['input']!r}"
        lines.append(f"{source}: {key + ': ' if key else ''}{message}")
    return "\n".join(lines)
