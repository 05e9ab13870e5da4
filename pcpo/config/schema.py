"""JSON schemas of the files of config/, made from the records that read them.

With them, an editor with a YAML language server completes keys and marks mistakes. The first line
of a file names its schema. `python -m pcpo.cli.schema` writes config/schema/<kind>.json. A schema
describes one file. An experiment's file, a preset and a scale set only some keys; other layers set
the rest, so almost no key is required there.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pcpo.config.arms import Arm
from pcpo.config.experiment import Experiment
from pcpo.config.files import Record
from pcpo.config.grid import Factor, Grid
from pcpo.config.overlay import OF_EXPERIMENTS
from pcpo.config.preset import Preset
from pcpo.config.resolve import OF_THE_FILE
from pcpo.config.scale import SCALE_MAY_CHANGE, Scale, may_change
from pcpo.config.variant import REQUIRED, START, Start
from pcpo.names import PATTERN

Schema = dict[str, Any]
_NAMES = {"pattern": f"^{PATTERN}$"}


def schemas() -> dict[str, Schema]:
    """Kind of file -> its schema."""
    return {
        "experiment": _experiment_file(),
        "variant": _variant(),
        "grid": _grid(),
        "preset": _preset(),
        "scale": _scale(),
        "arms": named_blocks(of_record(Arm, leave_out=("name",))),
        "defaults": _defaults(),
    }


def of_record(record: type[Record], leave_out: Collection[str], partial: bool = False) -> Schema:
    """The schema of a record's keys without some of them.

    partial: no key is required, at any depth. Defaults are left out, because another layer may set
    a key that a file does not.
    """
    whole = record.model_json_schema()
    drop = {"title", "default", "$defs"} | ({"required"} if partial else set())
    schema = _inlined(whole, whole.get("$defs", {}), drop)
    for key in leave_out:
        del schema["properties"][key]
    if "required" in schema:
        schema["required"] = [key for key in schema["required"] if key not in leave_out]
    return schema


def named_blocks(block: Schema) -> Schema:
    """The schema of a mapping from names to blocks."""
    return {"type": "object", "propertyNames": _NAMES, "additionalProperties": block}


def _inlined(schema: Schema, shared: Schema, drop: set[str]) -> Schema:
    """A schema with its references replaced by their targets, and without some keywords."""
    if "$ref" in schema:
        target = shared[schema["$ref"].rpartition("/")[2]]
        return _inlined(target | {k: v for k, v in schema.items() if k != "$ref"}, shared, drop)
    found: Schema = {}
    for word, value in schema.items():
        if word == "properties":
            found[word] = {key: _inlined(item, shared, drop) for key, item in value.items()}
        elif word in drop:
            continue
        elif isinstance(value, dict):
            found[word] = _inlined(value, shared, drop)
        elif isinstance(value, list):
            found[word] = [
                _inlined(item, shared, drop) if isinstance(item, dict) else item for item in value
            ]
        else:
            found[word] = value
    if "patternProperties" in found:
        found.setdefault("additionalProperties", False)
    return found


def _experiment() -> Schema:
    """Keys that any layer may set in an experiment."""
    return of_record(Experiment, OF_THE_FILE, partial=True)


def _experiment_file() -> Schema:
    return _experiment() | {"required": ["algorithm"]}


def _of_variant() -> Schema:
    """Keys that a variant may set: not those on which its defaults depend."""
    schema = _experiment()
    del schema["properties"]["algorithm"]
    return schema


def _variant() -> Schema:
    schema = _of_variant()
    schema["properties"] = of_record(Start, ())["properties"] | schema["properties"]
    return schema | {"required": [*START, *REQUIRED]}


def _grid() -> Schema:
    reference = {"$ref": "#/$defs/block"}
    schema = of_record(Grid, leave_out=("file",))
    levels = dict.fromkeys(Factor.model_fields, reference)
    factor = of_record(Factor, ()) | {"properties": levels}
    schema["properties"] |= {"all": reference, "factors": named_blocks(factor)}
    return schema | {"$defs": {"block": _of_variant()}}


def _preset() -> Schema:
    schema = of_record(Preset, leave_out=("file", *OF_EXPERIMENTS))
    return _laid_over(schema, _experiment())


def _scale() -> Schema:
    schema = of_record(Scale, leave_out=("name", "sizes"), partial=True)
    schema["properties"]["extends"] = {"type": "string", **_NAMES}
    whole = [key for key in Scale.model_json_schema()["required"] if key not in ("name", "sizes")]
    schema["required"] = ["note"]
    schema["anyOf"] = [{"required": ["extends"]}, {"required": whole}]
    return _laid_over(schema, _sizes(_experiment()))


def _laid_over(schema: Schema, block: Schema) -> Schema:
    """Add the keys that a file sets in experiments, in `all` of them or in one."""
    reference = {"$ref": "#/$defs/block"}
    schema["properties"] |= {"all": reference, "experiments": named_blocks(reference)}
    return schema | {"$defs": {"block": block}}


def _sizes(schema: Schema, prefix: str = "") -> Schema:
    """The part of the keys that a scale may change."""
    if "anyOf" in schema:  # a mapping or null: only a method may choose null
        (schema,) = (s for s in schema["anyOf"] if "properties" in s)
    kept = {}
    for key, item in schema["properties"].items():
        dotted = f"{prefix}{key}"
        if may_change(dotted) or f"{dotted}.*" in SCALE_MAY_CHANGE:
            kept[key] = item
        elif any(may.startswith(f"{dotted}.") for may in SCALE_MAY_CHANGE):
            kept[key] = _sizes(item, f"{dotted}.")
    return schema | {"properties": kept}


def _defaults() -> Schema:
    block = {"$ref": "#/$defs/block"}
    algorithms = Experiment.model_json_schema()["properties"]["algorithm"]["enum"]
    return {
        "type": "object",
        "properties": dict.fromkeys(("common", *algorithms), block),
        "additionalProperties": False,
        "$defs": {"block": _experiment()},
    }
