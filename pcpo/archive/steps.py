"""The jobs of a run, from their records, and the archive's files in their commands."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pcpo.archive.anonymous import without_folders

# Options of the commands that name their outputs; every other path is an input.
_WRITES = {"evaluate": ("--overall", "--per-prompt")}
_OUT = ("--out",)
# What reading a record with flipped bits raises.
_DAMAGE = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError),
    RecursionError,
)


@dataclass(frozen=True)
class Step:
    """A job that succeeded. Times are ISO 8601; `record` is the name of its own record."""

    rule: str
    name: str
    command: tuple[str, ...]
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
            times = (str(told["start"]), str(told["end"]))
            commit = str(told.get("git", {}).get("commit", ""))
            step = Step(str(told["rule"]), str(told["job"]), command, *times, commit, name)
            assert step.module and all(times)
        except _DAMAGE as error:
            log(f"{home / name}: no record of a job ({error!r}); its step is left out")
            continue
        steps.append(step)
    return sorted(steps, key=lambda step: (step.start, step.rule, step.name))


def files_of(step: Step, names: Iterable[str]) -> tuple[list[str], list[str]]:
    """(files read, files written) among the archive's files, as far as the command names them.

    A folder means all files in it, and an output without suffix all files that start with it.
    """
    known = sorted(names)
    outputs = _WRITES.get(step.rule, ()) + _OUT
    read, wrote = set(), set()
    option = ""
    for word in step.command:
        if word.startswith("--"):
            option = word
            continue
        path = word.split("=", 1)[-1].rstrip("/")
        if "/" not in path:
            continue
        inside = {name for name in known if name == path or name.startswith(f"{path}/")}
        if option in outputs:
            wrote |= inside | {name for name in known if name.startswith(f"{path}.")}
        else:
            read |= inside
    return sorted(read - wrote), sorted(wrote)
