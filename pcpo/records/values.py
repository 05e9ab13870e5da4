"""Small records that one command leaves for another, as JSON beside what a reader opens."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Kind = TypeVar("Kind")


def to_json(record: DataclassInstance) -> str:
    """A dataclass of texts, numbers and tuples of them."""
    return json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n"


def read_json(path: Path, kind: type[Kind], advice: str = "make it again") -> Kind:
    """A JSON file as the dataclass `kind`, by its keys; others are left out.

    Raises ValueError with the file's name, the key where there is one, and `advice` where the file
    is damaged.
    """
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes(), strict=True)
    except ValidationError as error:
        first: Any = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{path}: {key + ': ' if key else ''}{said}; {advice}") from error
