"""Read what a decorator declares in a source of the package, without importing the source.

A credit rule, an objective or an advantage is one function or class under a decorator that names
it. Configuration checks names against these, without loading torch, each time that a Snakefile is
parsed. So the decorators' arguments must be literal values.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler

from pcpo.config.files import ConfigError

PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Declared:
    """`@decorator(name, *values, key=value)` above a function or a class."""

    name: str
    values: tuple[Any, ...]
    keywords: dict[str, Any]


@dataclass(frozen=True)
class Declarations:
    """The uses of a decorator at the top level of pcpo/<source>.

    `Annotated[str, Declarations(...)]` is the type of a key that takes one of their names.
    """

    source: str
    decorator: str

    def all(self) -> tuple[Declared, ...]:
        """All of them, in the file's order; ConfigError if they cannot be read."""
        return _read(PACKAGE / self.source, self.decorator)

    def names(self) -> list[str]:
        """The names, each one once."""
        return list(dict.fromkeys(found.name for found in self.all()))

    def check(self, name: str) -> str:
        """Return the name; an unknown one is a ValueError that lists the valid ones."""
        if name not in (known := self.names()):
            raise ValueError(f"use one of pcpo/{self.source}: {', '.join(known)}")
        return name

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return AfterValidator(self.check).__get_pydantic_core_schema__(source, handler)

    def __get_pydantic_json_schema__(self, core: Any, handler: GetJsonSchemaHandler) -> Any:
        return handler(core) | {"enum": self.names()}


@cache
def _read(file: Path, decorator: str) -> tuple[Declared, ...]:
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        return tuple(
            _declared(call)
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
            for call in node.decorator_list
            if isinstance(call, ast.Call) and ast.unparse(call.func) == decorator
        )
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{file}: @{decorator} cannot be read: {error}") from error


def _declared(call: ast.Call) -> Declared:
    name, *values = (ast.literal_eval(value) for value in call.args)
    keywords = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    return Declared(name, tuple(values), keywords)
