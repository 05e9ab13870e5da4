"""Puts the test double into a folder, and makes the shell's environment in which it is `conda`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]


def install(home: Path) -> None:
    """`conda` and `activate` in home/bin, the channel conda-forge in home/channels."""
    (home / "bin").mkdir(parents=True)
    command = home / "bin" / "conda"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HERE / "standin.py"}" "$@"\n')
    command.chmod(0o755)
    shutil.copy(HERE / "activate", home / "bin")
    # In a process of its own: rattler can crash an interpreter that ends (standin.py).
    code = "import os; from pathlib import Path; "
    code += "from tests.system.conda.channel import write_channel; "
    code += f"write_channel(Path({str(home / 'channels' / 'conda-forge')!r})); os._exit(0)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def shell(home: Path, *first: Path) -> dict[str, str]:
    """This process' environment with the test double as `conda`, `first` at the head of PATH.

    Nothing in it leads to the packages of the Python that runs the tests: neither its folder of
    commands nor PYTHONPATH.
    """
    tests = Path(sys.executable).parent
    path = [p for p in os.environ["PATH"].split(":") if Path(p) != tests]
    environment = os.environ | {
        "PATH": ":".join([*map(str, first), str(home / "bin"), *path]),
        "CONDA_STANDIN_HOME": str(home),
        "CONDA_CHANNEL_ALIAS": f"file://{home / 'channels'}",
        "RATTLER_CACHE_DIR": str(home / "cache"),
        "XDG_CACHE_HOME": str(home / "xdg"),
        # Each environment downloads torch for itself: pip's cache would take gigabytes more.
        "PIP_NO_CACHE_DIR": "1",
        "PIP_NO_COMPILE": "1",  # modules are compiled when they are first imported
        "OMP_NUM_THREADS": "1",
    }
    for name in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX"):
        environment.pop(name, None)
    return environment


def processes(home: Path) -> list[tuple[Path, list[str]]]:
    """(prefix, command line) of every Python that ran in an environment of the test double."""
    lines = [line.split("\t") for line in (home / "processes.txt").read_text().splitlines()]
    return [(Path(prefix), command) for prefix, *command in lines]
