"""What every command shares: quiet libraries, one thread per process, errors in one line."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

# One torch thread per process and several jobs side by side: with two OpenMP threads and a busy
# neighbour the same step was ten times slower. Must be set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


class Log:
    """Plain lines in a file (and on stdout where no file is given), each with its time."""

    current: Log | None = None

    def __init__(self, path: Path | None) -> None:
        self.path = path
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
        Log.current = self

    def __call__(self, message: str) -> None:
        line = f"{time.strftime('%H:%M:%S')} {message}"
        if self.path is None:
            print(line, flush=True)
            return
        with self.path.open("a") as handle:
            handle.write(line + "\n")


def setup() -> None:
    """As many threads as asked for, and no progress bars from the libraries that are loaded.

    Call it after the heavy imports: it does not import what the command does not use.
    """
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    for name in ("transformers", "diffusers"):
        if name in sys.modules:
            logging = importlib.import_module(f"{name}.utils.logging")
            logging.disable_progress_bar()
            logging.set_verbosity_error()


def experiment_parser(description: str | None) -> argparse.ArgumentParser:
    """What every command on an experiment takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("experiment", help="number or name of config/experiments/")
    parser.add_argument("--scale", default="demo", help="a file of config/scale/")
    parser.add_argument("--seed", type=int, default=0, help="of the training runs")
    parser.add_argument("--log", type=Path, help="file for plain lines; stdout without it")
    parser.add_argument("--device", help="cpu or cuda; the scale's own without it")
    return parser


def run(main: Callable[[], None]) -> None:
    """Run a command; what the user can mend ends in one message and exit code 1."""
    try:
        main()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except (ValueError, OSError) as error:
        if os.environ.get("PCPO_TRACEBACK"):
            raise
        if Log.current is not None and Log.current.path is not None:
            Log.current(f"error: {error}")
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
