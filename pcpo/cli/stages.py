"""Commands made of stages: the trainings of the synthetic models, by the sizes of a scale file."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pcpo.cli import console
from pcpo.config.files import known_name, read_yaml
from pcpo.records.lock import alone, beside

# (sizes, folder of the synthetic data, seed): train one part and leave it in the folder. It calls
# `console.setup` after its imports.
Stage = Callable[[Mapping[str, Any], Path, int], None]


class Sizes(dict[str, Any]):
    """A block of a scale file that names itself where a key is missing."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        blocks = {
            key: Sizes(value, f"{where}.{key}") if isinstance(value, Mapping) else value
            for key, value in values.items()
        }
        super().__init__(blocks)
        self.where = where

    def __missing__(self, key: str) -> Any:
        raise ValueError(f"{self.where}.{key}: this key is missing")


def read_sizes(file: Path) -> Sizes:
    """The block `synthetic:` of a scale file, over those of the scales that it extends.

    Raises:
        ValueError: none of them has one, a file is not YAML, or `extends` is no name.
    """
    values = _inherited(file, [])
    if not values:
        raise ValueError(f"{file} has no block 'synthetic:'; only scales with synthetic data do.")
    return Sizes(values, f"{file}: synthetic")


def _inherited(file: Path, seen: list[Path]) -> dict[str, Any]:
    if file in seen:
        raise ValueError(f"{file}: extends: the scales form a circle")
    data = read_yaml(file)
    if not isinstance(data, dict):
        return {}
    values: dict[str, Any] = {}
    if data.get("extends") is not None:
        parent = known_name(data["extends"], f"{file}: extends")
        values = _inherited(file.with_name(f"{parent}.yaml"), [*seen, file])
    for stage, own in (data.get("synthetic") or {}).items():
        below = values.get(stage)
        if isinstance(own, Mapping) and isinstance(below, Mapping):
            own = {**below, **own}
        values[stage] = own
    return values


def lock_of(folder: Path, stage: str) -> Path:
    """The lock of the process that trains a stage; a killed Snakemake may have left one running."""
    return beside(folder.with_name(f"{folder.name}.{stage}"))


def _waiting(stage: str, holder: str) -> None:
    print(f"{stage}: {holder} trains it; waiting for its end", flush=True)


def run_stages(description: str | None, stages: Mapping[str, Stage]) -> None:
    """Run the stages that the command line names, in its order and in one process."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stages", nargs="+", choices=sorted(stages))
    parser.add_argument(
        "--sizes", type=Path, required=True, help="scale file that has `synthetic:`"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the synthetic data")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    console.uses(read=[arguments.sizes], wrote=[arguments.out])
    sizes = read_sizes(arguments.sizes)
    for name in arguments.stages:
        start = time.process_time()
        with alone(lock_of(arguments.out, name), partial(_waiting, name)):
            stages[name](sizes, arguments.out, arguments.seed)
        print(f"{name}: {time.process_time() - start:.1f} CPU seconds", flush=True)
