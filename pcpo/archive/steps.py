"""The jobs of a run, from their records, and the archive's files that they read and wrote."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pcpo.archive.anonymous import without_folders

# What reading a record with flipped bits raises.
_DAMAGE = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError),
    RecursionError,
)


@dataclass(frozen=True)
class Step:
    """A job that succeeded. Times are ISO 8601; `record` is the name of its own record.

    `read` and `wrote` are the files and folders that its command named; none in a record of an
    older version of pcpo.
    """

    rule: str
    name: str
    command: tuple[str, ...]
    read: tuple[str, ...]
    wrote: tuple[str, ...]
    start: str
    end: str
    commit: str
    record: str

    @property
    def module(self) -> str:
        """The command's module, as in python -m <module>."""
        after = self.command.index("-m") + 1 if "-m" in self.command[:-1] else 0
        return self.command[after]

    @property
    def line(self) -> str:
        """The command as a shell takes it."""
        return shlex.join(self.command)


def read_steps(records: Iterable[str], home: Path, log: Callable[[str], None]) -> list[Step]:
    """Steps from the records (names below `home`), the earliest first.

    log: called for each record that cannot be understood; its step is left out.
    """
    steps = []
    for name in records:
        try:
            told = json.loads(without_folders((home / name).read_bytes()))
            command = tuple(map(str, told["command"]))
            files = (
                tuple(map(str, told.get("read", ()))),
                tuple(map(str, told.get("wrote", ()))),
            )
            times = (str(told["start"]), str(told["end"]))
            commit = str(told.get("git", {}).get("commit", ""))
            step = Step(str(told["rule"]), str(told["job"]), command, *files, *times, commit, name)
            assert step.module and all(times)
        except _DAMAGE as error:
            log(f"{home / name}: no record of a job ({error!r}); its step is left out")
            continue
        steps.append(step)
    return sorted(steps, key=lambda step: (step.start, step.rule, step.name))


def files_of(step: Step, names: Iterable[str]) -> tuple[list[str], list[str]]:
    """(files read, files written) among the archive's files, as far as the step's record has them.

    A folder means all files in it, and an output without suffix all files that start with it.
    """
    known = sorted(names)
    read = {name for path in step.read for name in known if _is_in(name, path)}
    wrote = {
        name
        for path in step.wrote
        for name in known
        if _is_in(name, path) or name.startswith(f"{path}.")
    }
    return sorted(read - wrote), sorted(wrote)


def _is_in(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}/")
