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


def copy_sources(folder):
    """Everything that the workflow needs, in `folder`; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder)
    return folder


def environment(folder):
    """Variables of a process in `folder`, as a user's shell would set them."""
    variables = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "XDG_CACHE_HOME": str(folder / ".cache"),
    }
    variables.pop("PYTHONPATH", None)
    return variables


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
