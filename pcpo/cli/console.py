"""What every command shares: quiet libraries, one thread per process, errors in one line."""

from __future__ import annotations

import argparse
import gc
import importlib
import io
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from pcpo.cli import THRESHOLD
from pcpo.records import lock
from pcpo.records.provenance import recorded, started_module
from pcpo.records.replace import explained

if TYPE_CHECKING:
    from pydantic import BaseModel

# One torch thread per process and several jobs side by side: with two OpenMP threads and a busy
# neighbour the same step was ten times slower. Must be set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
# A sign that the terminal's encoding lacks is printed as its number, and ends no command.
if isinstance(sys.stdout, io.TextIOWrapper):
    sys.stdout.reconfigure(errors="backslashreplace")


class Log:
    """Plain lines in a file (and on stdout where no file is given), each with its time."""

    current: Log | None = None

    def __init__(self, path: Path | None) -> None:
        self.path = path
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("", encoding="utf-8")
        Log.current = self

    def __call__(self, message: str) -> None:
        line = f"{time.strftime('%H:%M:%S')} {message}"
        if self.path is None:
            print(line, flush=True)
            return
        with suppress(OSError), self.path.open("a", encoding="utf-8") as handle:
            handle.write(line + "\n")  # a log that a full disk cuts ends no job


def setup() -> None:
    """As many threads as asked for, and no progress bars from the libraries that are loaded.

    Call it after the heavy imports: it does not import what the command does not use. What they
    made is not searched for garbage any more; what a second call finds is.
    """
    if gc.get_threshold() != THRESHOLD:
        gc.freeze()
        gc.set_threshold(*THRESHOLD)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    for name in ("transformers", "diffusers"):
        if name in sys.modules:
            logging = importlib.import_module(f"{name}.utils.logging")
            logging.disable_progress_bar()
            logging.set_verbosity_error()


def experiment_parser(description: str | None, seed: bool = True) -> argparse.ArgumentParser:
    """What every command on an experiment takes; without `seed` the runs that it names have it."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("experiment", help="number or name of config/experiments/")
    parser.add_argument("--scale", default="demo", help="of config/scale/; demo without it")
    if seed:
        parser.add_argument(
            "--seed", type=int, default=0, help="of the training runs; 0 without it"
        )
    parser.add_argument("--log", type=Path, help="file for plain lines; stdout without it")
    parser.add_argument("--device", help="cpu or cuda; the scale's own without it")
    return parser


def sampler_option(parser: argparse.ArgumentParser) -> None:
    """Have a command on evaluation images, or on what depends on them, take their sampler."""
    from pcpo.config.settings import EVALUATION_SAMPLERS, NATIVE

    parser.add_argument(
        "--evaluation-sampler", choices=EVALUATION_SAMPLERS, default=NATIVE,
        help="of the evaluation images: the experiment's native one, or each arm's own",
    )  # fmt: skip


def resolved(**parts: BaseModel | int | str) -> None:
    """Record the resolved configuration of the command, for the job's record."""
    from pydantic import BaseModel

    for name, part in parts.items():
        _resolved[name] = part.model_dump(mode="json") if isinstance(part, BaseModel) else part


def uses(read: Iterable[str | Path | None] = (), wrote: Iterable[str | Path | None] = ()) -> None:
    """Note the files and folders that the command line names, for the job's record.

    A path without its suffix in `wrote` means all files that begin so.
    """
    _files["read"] = [str(Path(path)) for path in read if path is not None]
    _files["wrote"] = [str(Path(path)) for path in wrote if path is not None]


_resolved: dict[str, Any] = {}
_files: dict[str, list[str]] = {"read": [], "wrote": []}


def run(
    main: Callable[[], None], printing: bool = False, alone: str = "", job: bool = True
) -> None:
    """Run a command; what the user can correct ends in one message and exit code 1.

    A job of the workflow (`--log results/<scale>/logs/<rule>/<name>.log`) leaves a record.
    printing: the command knows no `--log`; what it prints goes there.
    alone: an option whose file one process makes at a time, as in `--out`. A killed
    Snakemake may have left one running: this one waits for its end, and uses what it kept.
    job: False for a command that starts another with its options: that one is the job.
    """
    if (module := started_module()) is not None:
        sys.argv[0] = f"python -m {module}"  # what argparse calls the command
    log = _after("--log") if job else None
    try:
        with (
            recorded(log, _resolved, _files),
            _printed_to(log) if printing else nullcontext(),
            _alone(_after(alone)) if alone else nullcontext(),
        ):
            main()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except (ValueError, OSError) as error:
        if isinstance(error, BrokenPipeError) and log is None:  # `| head` has read enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        if os.environ.get("PCPO_TRACEBACK"):
            raise
        sentence = explained(error) if isinstance(error, OSError) else str(error)
        if Log.current is not None and Log.current.path is not None:
            Log.current(f"error: {sentence}")
        print(f"error: {sentence}", file=sys.stderr)
        sys.exit(1)


@contextmanager
def _printed_to(log: Path | None) -> Iterator[None]:
    """Take `--log` off the command line, and let the file have what is printed."""
    if log is None:
        yield
        return
    command, position = sys.argv, sys.argv.index("--log")
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("w", encoding="utf-8", buffering=1) as handle:
            with redirect_stdout(_Lines(handle)):
                sys.argv = command[:position] + command[position + 2 :]
                yield
            with suppress(OSError):
                handle.close()
    finally:
        sys.argv = command


class _Lines(io.TextIOBase):
    """What is printed, for a file; a full disk cuts the log and ends no job."""

    def __init__(self, handle: TextIO) -> None:
        self._handle = handle

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._handle.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._handle.flush()


@contextmanager
def _alone(path: Path | None) -> Iterator[None]:
    """Wait for another process that makes the same file."""
    if path is None:  # the parser says what is missing
        yield
        return

    def waiting(holder: str) -> None:
        print(f"{path}: {holder} makes it; waiting for its end", file=sys.stderr, flush=True)

    with lock.alone(lock.beside(path), waiting):
        yield


def _after(option: str) -> Path | None:
    """The file after an option on the command line."""
    arguments = sys.argv
    if option not in arguments[:-1]:
        return None
    return Path(arguments[arguments.index(option) + 1])
