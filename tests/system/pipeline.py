"""Snakemake in a copy of the repository's sources, and what it says of its jobs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from pcpo.config.files import CONFIG

ROOT = CONFIG.parent
SOURCES = ("Snakefile", "rules", "config", "envs", "pcpo", "profiles", "requirements.lock")
HOME = ".home"
# What would lead processes elsewhere, or is set by what these tests import.
OF_A_USER = re.compile(
    "XDG_|PCPO_|PYTHONPATH$|MPLCONFIGDIR$|HF_HOME$|TORCH_HOME$|ORT_|DO_NOT_TRACK$"
)


def copy_sources(folder):
    """Everything that the workflow needs, in `folder`; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in SOURCES:
        if (ROOT / name).is_dir():
            # Bytecode comes along, but for what another process is writing.
            half = shutil.ignore_patterns("*.pyc.*")
            shutil.copytree(ROOT / name, folder / name, ignore=half)
        else:
            shutil.copy(ROOT / name, folder)
    return folder


def environment(folder):
    """Variables of a process in `folder`, as the shell of a user with an empty home sets them."""
    (folder / HOME).mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not OF_A_USER.match(name)}
    return kept | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "HOME": str(folder / HOME),
    }


def left_at_home(folder):
    """Files and empty folders that processes in `folder` have left in the user's home."""
    home = folder / HOME
    left = [p for p in home.rglob("*") if not (p.is_dir() and any(p.iterdir()))]
    return sorted(path.relative_to(home).as_posix() for path in left)


def snakemake(folder, *arguments, variables=None):
    """Run snakemake in `folder` as a shell would; returns (exit code, all that it printed)."""
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=folder, env=environment(folder) | (variables or {}), capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def jobs(output):
    """Rule -> number of jobs, from snakemake's table of job counts."""
    table = output[output.index("Job stats:") :]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.M)}


def runs(output, scale="smoke", seed=0):
    """The (experiment, arm) whose training a dry run plans."""
    manifest = rf"output: results/{scale}/runs/(\w+)/(\w+)/seed{seed}/checkpoints\.csv"
    return set(re.findall(manifest, output))
