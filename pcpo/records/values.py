"""Small records that one command writes for another, as JSON beside the file for a reader."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Kind = TypeVar("Kind")


def to_json(record: DataclassInstance) -> str:
    """A dataclass of texts, numbers and tuples of them."""
    return json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n"


def read_json(path: Path, kind: type[Kind], advice: str = "make it again") -> Kind:
    """Read a JSON file as the dataclass `kind`, by its keys; other keys are ignored.

    Raises ValueError with the file's name, the key if there is one, and `advice` if the file is
    damaged.
    """
    # Here: all commands keep a record of their job, and few read one.
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_json(path.read_bytes(), strict=True)
    except ValidationError as error:
        first: Any = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, first["loc"]))
        problem = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{path}: {key + ': ' if key else ''}{problem}; {advice}") from error
