"""Variants: experiments that start from another one and exist at some scales only.

A variant is a file of config/variants/, or a cell of config/grid.yaml. It starts from an experiment
with the sizes of its scale, and its own keys lie over these. They may change the method too.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from pydantic import Field, ValidationError

from pcpo.config import files
from pcpo.config.files import ConfigError, Keys, Name, Record, explain, load_yaml
from pcpo.config.grid import LEVELS, Cell, Grid, load_grid
from pcpo.config.overlay import Layer
from pcpo.config.scale import experiment_names, numbered_files

# Keys of a variant's file that are no keys of its experiment.
START = ("of", "scales")
# What it does not take from its experiment: at a scale that one may have many arms.
REQUIRED = ("description", "arms")


class Start(Record):
    """What a variant starts from, and where it exists."""

    of: Name  # a file of config/experiments/
    scales: tuple[Name, ...] = Field(min_length=1)  # files of config/scale/


class Variant(NamedTuple):
    """file: where it is written. layers: its keys; later ones override earlier ones."""

    name: str
    of: str
    scales: tuple[str, ...]
    file: Path
    layers: tuple[Layer, ...]


def variants() -> dict[str, Variant]:
    """All variants by name. Raises ConfigError with the file and the key of each mistake."""
    of_files = [_of_file(path) for path in numbered_files("variants")]
    grid = load_grid()
    of_grid = [_of_cell(cell, *grid) for cell in grid[0].cells()] if grid else []
    every = [*of_files, *of_grid]
    known = experiment_names()
    for variant in every:
        if variant.of not in known:
            raise ConfigError(f"{variant.file}: of: no file config/experiments/{variant.of}.yaml")
        _check_scales(variant)
    _check_different([*known, *(variant.name for variant in every)])
    return {variant.name: variant for variant in every}


def _of_file(path: Path) -> Variant:
    data = load_yaml(path, "variant")
    try:
        start = Start(**{key: data[key] for key in START if key in data})
    except ValidationError as error:
        raise ConfigError(explain(error, [(str(path), data)])) from error
    for key in REQUIRED:
        if key not in data:
            raise ConfigError(f"{path}: {key}: this key is missing; a variant has its own")
    own = data.without(*START)
    return Variant(path.stem, start.of, start.scales, path, (Layer(str(path), own),))


def _of_cell(cell: Cell, grid: Grid, keys: Keys) -> Variant:
    levels = (f"{name} {LEVELS[level]}" for name, level in cell.levels.items())
    text = f"{grid.description}: {', '.join(levels) if any(cell.levels.values()) else 'centre'}"
    described = Keys(description=text)
    described.origins["description"] = (keys.origins["description"][-1]._replace(value=text),)
    layers = grid.layers(cell, Layer(grid.file, described))
    return Variant(cell.name, grid.of, grid.scales, Path(grid.file), tuple(layers))


def _check_scales(variant: Variant) -> None:
    for scale in variant.scales:
        if not (files.CONFIG / "scale" / f"{scale}.yaml").exists():
            raise ConfigError(f"{variant.file}: scales: no file config/scale/{scale}.yaml")


def _check_different(names: Collection[str]) -> None:
    twice = sorted({name for name in names if [*names].count(name) > 1})
    if twice:
        raise ConfigError(f"{files.CONFIG}: two experiments are called {', '.join(twice)}")
