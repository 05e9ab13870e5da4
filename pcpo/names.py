"""What a name may be: of an experiment, arm, scale, model, prompt set, reward, feature, metric, ...

Such names come from configuration files, their stems, the command line and archives of others, and
end in paths, commands, wildcards and names of modules. One rule for all of them, checked where they
are read. Only the standard library is imported: an archive is checked before anything else is.
"""

from __future__ import annotations

import re

LONGEST = 64  # a job's log joins three of them; file systems allow 255
RULE = f"letters, digits, _ and -, a letter or digit first, at most {LONGEST}"
# Training seeds, as text: torch takes more, but they are in file names and tables.
LARGEST_SEED = 10**9 - 1

PATTERN = rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,{LONGEST - 1}}}"
_NAME = re.compile(PATTERN)
_SHOWN = 80  # characters of a wrong name in a message


def checked_name(name: object, where: str = "") -> str:
    """The name itself. Raises ValueError, beginning with `where` (file and key), for any other."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise ValueError(f"{where}{': ' if where else ''}{shown(name)} is no name; use {RULE}")


def shown(text: object) -> str:
    """A text of unknown origin for a message: quoted, on one line, without control characters."""
    quoted = ascii(text) if not str(text).isprintable() else repr(text)
    return quoted if len(quoted) <= _SHOWN else f"{quoted[:_SHOWN]}..."


def is_seed(value: object) -> bool:
    """Whether it is a training seed: a whole number from 0 to LARGEST_SEED."""
    return type(value) is int and 0 <= value <= LARGEST_SEED
