"""Where each value of a resolved record was written, and what it replaced.

The resolvers (`resolve_experiment`, `resolve_scale`, `resolve_arm`) return a record and the keys
that it was made from; `settings` combines the two.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

from pcpo.config.files import Keys, Origin, Record


class Setting(NamedTuple):
    """One value, as the program uses it.

    key: dotted, as in `optimizer.learning_rate`. origin: where the value was written; for a default
    of the code, the line of the record's field. replaced: the values that other files had set,
    last first.
    """

    key: str
    value: Any
    origin: Origin
    replaced: tuple[Origin, ...]


def settings(record: Record, keys: Keys, leave_out: tuple[str, ...] = ()) -> list[Setting]:
    """Every value of a record, in the order of its fields.

    keys: what the record was made from. leave_out: fields of the record that are not listed.
    """
    return list(_of_record(record, keys, (), "", leave_out))


def _of_record(
    record: Record,
    keys: Keys,
    above: tuple[Origin, ...],
    prefix: str,
    leave_out: tuple[str, ...] = (),
) -> Iterator[Setting]:
    for field in type(record).model_fields:
        if field not in leave_out:
            value = getattr(record, field)
            yield from _of_value(prefix + field, value, field, keys, above, _default(record, field))


def _of_value(
    dotted: str,
    value: Any,
    key: str,
    keys: Keys,
    above: tuple[Origin, ...],
    default: Origin,
) -> Iterator[Setting]:
    """above: origins of the key's mapping from layers in which it was no mapping."""
    origins = keys.origins.get(key, ())
    below = keys.get(key)
    inside = below if isinstance(below, Keys) else Keys()
    plain = above + tuple(o for o in origins if not isinstance(o.value, Keys))
    if isinstance(value, Record):
        yield from _of_record(value, inside, plain, f"{dotted}.")
    elif isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _of_value(f"{dotted}.{name}", item, name, inside, plain, default)
    else:
        *replaced, origin = (*above, *(origins or (default,)))
        yield Setting(dotted, value, origin, tuple(reversed(replaced)))


def _default(record: Record, field: str) -> Origin:
    """The line of a field in its record, for a value that no file sets."""
    lines, first = inspect.getsourcelines(type(record))
    line = next(n for n, text in enumerate(lines, first) if text.lstrip().startswith(f"{field}:"))
    return Origin(str(inspect.getsourcefile(type(record))), line, getattr(record, field))
