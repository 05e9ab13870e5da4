"""A grid of experiments around one of them: config/grid.yaml.

Each factor has a low, a centre and a high level, and a level is a block of keys of an experiment.
The cells are variants (`pcpo.config.variant`): the centre, then the corners of a two-level design.
Among k factors, `full` has all 2^k corners. `half` has the 2^(k-1) in which the product of all
coded levels is 1: a design of resolution k (Box and Hunter, Technometrics 3:311, 1961). From five
factors on, no main effect and no interaction of two factors is mixed with another one of these.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Literal, NamedTuple

from pydantic import Field, ValidationError, model_validator

from pcpo.config import files
from pcpo.config.files import ConfigError, Keys, Name, Record, explain, leaves, load_yaml
from pcpo.config.overlay import Block, Layer

LEVELS = {-1: "low", 0: "centre", 1: "high"}
_FEWEST_HALF = 5  # factors


class Factor(Record):
    """The keys of an experiment at each level."""

    low: Block
    centre: Block
    high: Block


class Cell(NamedTuple):
    """levels: coded level of each factor, -1, 0 or 1."""

    name: str
    number: int
    levels: dict[str, int]


class Grid(Record):
    """The keys of config/grid.yaml."""

    file: str
    of: Name  # a file of config/experiments/
    scales: tuple[Name, ...] = Field(min_length=1)
    description: str
    first_number: int = Field(gt=10)  # of the centre; the corners follow
    design: Literal["half", "full"]
    all: Block  # keys of every cell
    factors: dict[Name, Factor] = Field(min_length=2)

    @model_validator(mode="after")
    def _separate(self) -> Grid:
        if self.design == "half" and len(self.factors) < _FEWEST_HALF:
            raise ValueError(f"design: half needs {_FEWEST_HALF} factors or more; use full")
        owner: dict[str, str] = dict.fromkeys(leaves(self.all), "all")
        for name, factor in self.factors.items():
            keys = {level: set(leaves(getattr(factor, level))) for level in LEVELS.values()}
            if len({frozenset(own) for own in keys.values()}) > 1:
                raise ValueError(f"factors.{name}: its three levels set the same keys")
            for key in sorted(keys["low"]):
                if key in owner:
                    raise ValueError(f"factors.{name}: {key} is set by {owner[key]} too")
                owner[key] = f"factors.{name}"
        return self

    def cells(self) -> list[Cell]:
        """The centre, then the corners; of these the last factor changes fastest."""
        count = len(self.factors)
        corners: Iterator[tuple[int, ...]] = product((-1, 1), repeat=count)
        if self.design == "half":
            corners = ((*c, prod(c)) for c in product((-1, 1), repeat=count - 1))
        found = []
        for number, coded in enumerate([(0,) * count, *corners], self.first_number):
            mark = "".join(LEVELS[level][0] for level in coded) if any(coded) else LEVELS[0]
            levels = dict(zip(self.factors, coded, strict=True))
            found.append(Cell(f"{number}_grid_{mark}", number, levels))
        return found

    def layers(self, cell: Cell, described: Layer) -> list[Layer]:
        """The keys of a cell; `described` has its description."""
        chosen = [(name, LEVELS[level]) for name, level in cell.levels.items()]
        return [
            described,
            Layer(f"{self.file} (all)", self.all),
            *(
                Layer(f"{self.file} (factors.{name}.{level})", getattr(self.factors[name], level))
                for name, level in chosen
            ),
        ]


def load_grid() -> tuple[Grid, Keys] | None:
    """config/grid.yaml and its keys with their origins; None where there is no such file.

    Raises ConfigError with the file and the key of each mistake.
    """
    path = files.CONFIG / "grid.yaml"
    if not path.exists():
        return None
    data = load_yaml(path, "file")
    if "file" in data:
        raise ConfigError(f"{path}: file: unknown key")
    try:
        return Grid(file=str(path), **data), data
    except ValidationError as error:
        raise ConfigError(explain(error, [(str(path), data)])) from error


def coded_levels() -> dict[str, dict[str, int]]:
    """Name of each cell -> its coded levels; empty where there is no grid."""
    found = load_grid()
    return {cell.name: cell.levels for cell in found[0].cells()} if found else {}
