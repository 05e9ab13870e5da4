"""Configuration files: reading, layering, and messages that name the file and the key."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, NamedTuple, cast

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, WithJsonSchema

from pcpo.names import PATTERN, checked_name

VARIABLE = "PCPO_CONFIG"  # names another folder than this checkout's
CONFIG = Path(os.environ.get(VARIABLE) or Path(__file__).resolve().parents[2] / "config")


# Bounds of a YAML file, which may come from someone else's archive. Our largest, claims.yaml, has
# 28 kB and five levels. The first bound is for the file, and for its values with every alias
# written out.
YAML_BYTES = 250_000
YAML_DEPTH = 32


def use_folder(folder: Path) -> None:
    """Read all configuration from `folder`, here and in the commands that this process starts."""
    global CONFIG
    CONFIG = folder
    os.environ[VARIABLE] = str(folder)


@contextmanager
def reading_from(folder: Path) -> Iterator[None]:
    """As `use_folder`, until the block ends; then all is as before, also for started commands."""
    own, variable = CONFIG, os.environ.get(VARIABLE)
    use_folder(folder)
    try:
        yield
    finally:
        use_folder(own)
        if variable is None:
            del os.environ[VARIABLE]


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names the file and the key."""


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Origin(NamedTuple):
    """Where a value of a key was written, and the value as it was read."""

    file: str
    line: int | None  # None: the value is from the file's name
    value: Any


class Keys(dict[str, Any]):
    """The keys of a mapping with their origins; a key's last origin replaced the others.

    A key has one origin when it is read; `merge` joins the origins of both sides.
    """

    origins: dict[str, tuple[Origin, ...]]

    def __init__(self, *given: Any, **keys: Any) -> None:
        super().__init__(*given, **keys)
        self.origins = {}

    def copy(self) -> Keys:
        copied = Keys(self)
        copied.origins = dict(self.origins)
        return copied

    def without(self, *keys: str) -> Keys:
        """All keys but these."""
        kept = self.copy()
        for key in keys:
            kept.pop(key, None)
        return kept


# See pcpo/names.py.
Name = Annotated[
    str,
    AfterValidator(checked_name),
    WithJsonSchema({"type": "string", "pattern": f"^{PATTERN}$"}),
]


def known_name(name: object, where: str) -> str:
    """Return a valid name (pcpo/names.py); else ConfigError, which begins with `where`."""
    try:
        return checked_name(name, where)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def load_yaml(path: Path, what: str) -> Keys:
    """Keys and values of a configuration file. Raises ConfigError with its name."""
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise ConfigError(f"unknown {what} '{path.stem}': no file {path}; known: {known}")
    data = read_yaml(path)
    if not isinstance(data, Keys):
        raise ConfigError(f"{path}: expected keys and values at the top level")
    return data


def read_yaml(path: Path) -> Any:
    """A file of plain values: texts, numbers, lists, `Keys`; its size is checked while it is read.

    Raises ConfigError with the file's name if it is not such YAML in UTF-8, or if it is larger than
    YAML_BYTES or deeper than YAML_DEPTH.
    """
    if (size := path.stat().st_size) > YAML_BYTES:
        raise ConfigError(f"{path}: has {size:,} bytes; at most {YAML_BYTES:,} are read")
    try:
        return deepcopy(_parsed(path.read_bytes(), str(path)))  # callers change what they get
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a bad number or UTF-8
        raise ConfigError(f"{path}: not valid YAML: {error}") from error


# Every experiment reads the defaults and its scale; to parse takes seven times as long as to copy.
@lru_cache(maxsize=64)
def _parsed(data: bytes, file: str) -> Any:
    return _Plain(data.decode("utf-8"), file).get_single_data()


class _Plain(yaml.SafeLoader):
    """YAML of plain values. It counts all that it composes, and an alias each time it is used."""

    def __init__(self, text: str, file: str) -> None:
        super().__init__(text)
        self._file = file
        self._depth = self._size = 0
        self._sizes: dict[int, int] = {}  # of each complete node, with all below it

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        alias = self.check_event(yaml.AliasEvent)
        mark, before = self.peek_event().start_mark, self._size
        self._depth += 1
        if self._depth > YAML_DEPTH:
            raise yaml.MarkedYAMLError(None, None, f"deeper than {YAML_DEPTH} levels", mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if alias and id(node) not in self._sizes:
            raise yaml.MarkedYAMLError(None, None, "an alias that contains itself", mark)
        own = 1 + len(node.value) if isinstance(node, yaml.ScalarNode) else 1
        self._size += self._sizes[id(node)] if alias else own
        self._sizes.setdefault(id(node), self._size - before)
        if self._size > YAML_BYTES:
            problem = f"more than {YAML_BYTES:,} characters with its aliases written out"
            raise yaml.MarkedYAMLError(None, None, problem, mark)
        return node

    def keys_of(self, node: yaml.MappingNode) -> Iterator[Keys]:
        """The keys of a mapping with their lines; an alias has the lines of its anchor."""
        keys = Keys()
        yield keys  # filled later, because an alias may point to it
        keys.update(cast(dict[str, Any], self.construct_mapping(node)))
        for key_node, _ in node.value:
            key = self.construct_object(key_node)
            keys.origins[key] = (Origin(self._file, key_node.start_mark.line + 1, keys[key]),)


# Dates, bytes and sets are no plain values: JSON does not have them, and nothing here uses them.
_TAGS = ("null", "bool", "int", "float", "str", "seq", "map")
_Plain.yaml_constructors = {
    tag: constructor
    for tag, constructor in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.rpartition(":")[2] in _TAGS
}
_Plain.add_constructor("tag:yaml.org,2002:map", _Plain.keys_of)


def merge(base: Keys, over: Keys) -> Keys:
    """Merge `over` into `base`, mapping by mapping; every key records what it replaced."""
    merged = base.copy()
    for key, value in over.items():
        old = base.get(key)
        if isinstance(old, Keys) and isinstance(value, Keys):
            value = merge(old, value)
        merged[key] = value
        merged.origins[key] = base.origins.get(key, ()) + over.origins.get(key, ())
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


_KEY = re.compile(r"([a-z_]+(?:\.[a-z_]+)*): ")  # at the start of a message


def explain(
    error: ValidationError,
    layers: Sequence[tuple[str, dict[str, Any]]],
    main: str | None = None,
) -> str:
    """One line per mistake, with the file of the layer that set the key last.

    `main` is named if a mistake concerns several keys together and its message begins with none.
    """
    lines = []
    for item in error.errors():
        location = item["loc"]
        message = item["msg"].removeprefix("Value error, ")
        # A mistake of several keys together begins with the one to change: "arms: ...".
        prefix = _KEY.match(message)
        named = location + tuple(prefix[1].split(".") if prefix else ())
        source = next(
            (
                name
                for n in range(len(named), 0, -1)
                for name, layer in reversed(layers)
                if contains(layer, named[:n])
            ),
            main or layers[-1][0],
        )
        parts = [str(part) for part in location if part != "[key]"]  # pydantic's mark of a key
        key = ".".join(part if part.isprintable() else ascii(part) for part in parts)
        if item["type"] == "extra_forbidden":
            message = "unknown key"
        elif item["type"] == "missing":
            message = "this key is missing"
        else:
            message += "" if isinstance(item["input"], dict) else f", got {item['input']!r}"
        lines.append(f"{source}: {key + ': ' if key else ''}{message}")
    return "\n".join(lines)
