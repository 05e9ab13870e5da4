"""Where the numbers come from: the code's git state, the packages, the machine, the job itself.

Every job with a log at results/<scale>/logs/<rule>/<name>.log writes a record to
results/<scale>/provenance/<rule>/<name>.json when it succeeds.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from pcpo.paths import PACKAGE
from pcpo.records.digest import of_file
from pcpo.records.git import NoAnswer, ask
from pcpo.records.history import process
from pcpo.records.programs import driver_lines
from pcpo.records.replace import write_text
from pcpo.records.values import read_json

REPOSITORY = PACKAGE.parent


@dataclass(frozen=True)
class Git:
    """`changes` are the lines of `git status --porcelain`; `problem` says why there is no state."""

    commit: str = ""
    date: str = ""
    subject: str = ""
    changes: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Package:
    """A direct dependency; a version is "" if it is not pinned or not installed here."""

    name: str
    locked: str
    installed: str

    @property
    def differs(self) -> bool:
        return bool(self.locked and self.installed) and (
            self.installed.split("+")[0] != self.locked  # torch's build, as in 2.12.1+cu130
        )


@dataclass(frozen=True)
class Machine:
    """`memory_gb` in 10^9 bytes, 0 where unknown; `gpus` one text per device."""

    processor: str
    cores: int
    memory_gb: float
    gpus: tuple[str, ...]
    system: str
    python: str


def git(folder: Path = REPOSITORY) -> Git:
    """The state of the checkout that holds this package, at this moment."""
    try:
        top = ask(folder, "rev-parse", "--show-toplevel").removesuffix("\n")
        if Path(top).resolve() != folder.resolve():
            return Git(problem="the package does not lie in a git checkout of its own")
        shown = ask(folder, "show", *_OF_A_COMMIT, "HEAD")
        status = ask(folder, "status", "--porcelain", "-z", "--untracked-files=normal", _AS_TWO)
    except NoAnswer as error:
        return Git(problem=str(error))
    commit, date, subject = shown.split("\0")[:3]
    return Git(commit, date, subject, tuple(filter(None, status.split("\0"))))


_OF_A_COMMIT = ("-s", "--no-show-signature", "--encoding=UTF-8", "--format=%H%x00%cI%x00%s%x00")
_AS_TWO = "--no-renames"  # a renamed file is one deleted and one added


def packages(folder: Path = REPOSITORY) -> list[Package]:
    """Direct dependencies: the version in requirements.lock, and the one installed here."""
    project, lock = folder / "pyproject.toml", folder / "requirements.lock"
    if not (project.exists() and lock.exists()):
        return []
    wanted = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]
    locked = dict(re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock.read_text(encoding="utf-8"), re.M))
    found = []
    for line in wanted:
        name = re.split(r"[^\w.-]", line, maxsplit=1)[0].replace("_", "-").lower()
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed = ""
        found.append(Package(name, locked.get(name, ""), installed))
    return found


def machine() -> Machine:
    """The machine that this process runs on."""
    return Machine(
        processor=_processor(),
        cores=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 0,
        memory_gb=_memory() / 1e9,
        gpus=_gpus(),
        system=platform.platform(),
        python=platform.python_version(),
    )


def origin() -> dict[str, Any]:
    """Code, packages and machine of this process, as plain values."""
    lock = REPOSITORY / "requirements.lock"
    return {
        "git": asdict(git()),
        "requirements_lock_sha256": of_file(lock) if lock.exists() else "",
        "packages": {package.name: package.installed for package in packages()},
        "machine": asdict(machine()),
    }


@contextmanager
def recorded(
    log: Path | None, resolved: Mapping[str, Any], files: Mapping[str, Sequence[str]]
) -> Iterator[None]:
    """Write the record of the job whose log is `log`, if the block ends without an error.

    `resolved`, the job's resolved configuration, and `files`, the paths under "read" and "wrote",
    are read at the end. Only the first process of a job writes it. GPU-hours are hours in use: wall
    time times processes on a GPU.
    """
    record = None if log is None or os.environ.get("RANK", "0") != "0" else record_path(log)
    if record is None:
        yield
        return
    begun = origin()  # now: during a long job the checkout may change
    started, clock = datetime.now(UTC), time.monotonic()  # the wall clock may be set back
    yield
    ended = datetime.now(UTC)
    hours = (time.monotonic() - clock) / 3600
    content = {
        "rule": record.parent.name,
        "job": record.stem,
        "command": ["python", *_command()],
        "read": list(files["read"]),
        "wrote": list(files["wrote"]),
        "process": process(),
        "python": sys.executable,
        "start": started.isoformat(timespec="seconds"),
        "end": ended.isoformat(timespec="seconds"),
        "seconds": round(3600 * hours, 3),
        "gpus": gpus_in_use(),
        "gpu_hours": round(gpus_in_use() * hours, 6),
        "resolved": dict(resolved),
    } | begun
    write_text(record, json.dumps(content, indent=1) + "\n")


@dataclass(frozen=True)
class Run:
    """A training run."""

    experiment: str
    arm: str
    seed: int


def run_of(record: Path) -> Run:
    """The run that a training's record describes.

    Raises ValueError with the record's name if it is missing or damaged.
    """
    unknown = "which run was trained is not known"
    if not record.exists():
        raise ValueError(f"{record}: there is no such record; {unknown}")
    run = read_json(record, _Training, unknown).resolved
    return Run(run.experiment.name, run.arm.name, run.seed)


@dataclass(frozen=True)
class _Named:
    name: str


@dataclass(frozen=True)
class _Resolved:
    """The values that the command `train` gives to `recorded` and that are read again."""

    experiment: _Named
    arm: _Named
    seed: int


@dataclass(frozen=True)
class _Training:
    resolved: _Resolved


def record_path(log: Path) -> Path | None:
    """Path of the record that belongs to a job's log; None if the log is not a job's."""
    parts = log.parts
    if len(parts) < 3 or parts[-3] != "logs":
        return None
    return Path(*parts[:-3], "provenance", parts[-2], log.stem + ".json")


def gpus_in_use() -> int:
    """Number of CUDA devices that the processes of this job use: one each."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return 0
    return int(os.environ.get("WORLD_SIZE", "1"))


def started_module() -> str | None:
    """Name of the module that `python -m` started; None if it started a file."""
    module = getattr(sys.modules["__main__"], "__spec__", None)
    return None if module is None else module.name


def _command() -> list[str]:
    module = started_module()
    return list(sys.argv) if module is None else ["-m", module, *sys.argv[1:]]


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    named = re.search(r"^model name\s*:\s*(.+)$", text, re.M)
    return named[1].strip() if named else platform.processor() or platform.machine()


def _memory() -> float:
    try:
        return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 0.0


def _gpus() -> tuple[str, ...]:
    lines = driver_lines("--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
    return tuple(", ".join(re.split(r"\s*,\s*", line.strip())) for line in lines)
