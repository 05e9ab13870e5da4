"""Stages that are done one after another; each is recorded, so that a rerun goes on after it."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pcpo.records.replace import write_text

Facts = dict[str, Any]


class Failure(RuntimeError):
    """A stage that did not do what it should; the message says what was found."""


@dataclass(frozen=True)
class Stage:
    """about: what it does, in a line. run: does it, and returns what was found, in JSON types.

    needs: stages that must be done before. workflow: it measures a job of the workflow, which does
    not run where its outputs are there.
    """

    name: str
    about: str
    run: Callable[[], Facts]
    needs: tuple[str, ...] = ()
    workflow: bool = False


class Record:
    """What was found in the stages: below `folder` a file for each that is done."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def done(self, name: str) -> bool:
        return self._file(name).exists()

    def facts(self, name: str) -> Facts:
        """Raises Failure if the stage is not done."""
        if not self.done(name):
            raise Failure(f"stage {name} is not done yet: run it first (--stages {name})")
        found: Facts = json.loads(self._file(name).read_text(encoding="utf-8"))
        return found

    def keep(self, name: str, facts: Facts) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self._file(name), json.dumps(facts, indent=1) + "\n")

    def peaks(self, name: str, found: Mapping[str, int]) -> dict[str, int]:
        """The most of what was found of each process now and in earlier tries of a stage.

        A stage that stopped half-way does not do again what it had finished.
        """
        file = self.folder / f"{name}.peaks.json"
        before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        most = {key: max(found.get(key, 0), before.get(key, 0)) for key in {*before, *found}}
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(most, indent=1, sort_keys=True) + "\n")
        return most

    def forget(self, name: str) -> None:
        self._file(name).unlink(missing_ok=True)
        (self.folder / f"{name}.peaks.json").unlink(missing_ok=True)


def forget(stages: Sequence[Stage], names: Collection[str], record: Record, made: Path) -> None:
    """Let these stages be done again. `made`: the folder of the workflow's outputs.

    Raises ValueError for a stage whose job would find its outputs there, and not run.
    """
    if kept := [s.name for s in stages if s.name in names and s.workflow]:
        raise ValueError(
            f"--again {' '.join(kept)}: the outputs are in {made}, so that their jobs would not "
            f"run; delete that folder and {record.folder}: the weights stay, and all stages are "
            "done again"
        )
    for name in names:
        record.forget(name)


def run_stages(
    stages: Sequence[Stage],
    record: Record,
    chosen: Collection[str] = (),
    log: Callable[[str], None] = print,
) -> bool:
    """Run the chosen stages (all if none is named) that are not done; False if one still is not.

    A stage that fails stops only the stages that need it. Raises ValueError for a name that is no
    stage.
    """
    names = [stage.name for stage in stages]
    if unknown := [name for name in chosen if name not in names]:
        raise ValueError(f"there is no stage {', '.join(unknown)}; there are: {', '.join(names)}")
    good = True
    for stage in stages:
        if chosen and stage.name not in chosen:
            continue
        if record.done(stage.name):
            log(f"{stage.name}: done before")
            continue
        if missing := [name for name in stage.needs if not record.done(name)]:
            log(f"{stage.name}: not run: it needs {', '.join(missing)}")
            good = False
            continue
        log(f"{stage.name}: {stage.about}")
        started = time.monotonic()
        try:
            facts = stage.run()
        except Exception as failure:  # a full disk, or a file that is not as expected, too
            log(f"{stage.name}: FAILED: {failure}")
            if not isinstance(failure, Failure):
                log(traceback.format_exc())
            good = False
            continue
        seconds = round(time.monotonic() - started, 1)
        record.keep(stage.name, facts | {"seconds": seconds})
        log(f"{stage.name}: done in {seconds:.0f} s")
    return good
