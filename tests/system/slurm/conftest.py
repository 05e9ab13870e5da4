"""The cluster, the sources that its jobs run, and what Slurm says of the jobs."""

import csv
import fcntl
import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.system.pipeline import copy_sources, environment, snakemake
from tests.system.slurm import cluster

EXPERIMENT = "07_dancegrpo_sd15_pickscore"
# The profile as it is, but for the site (account, partition) and for how often Slurm is asked.
SITE = (f"slurm_account={cluster.ACCOUNT}", f"slurm_partition={cluster.PARTITIONS[0]}", "nodes=1")
PROFILE = (
    "--profile", "profiles/slurm", "--latency-wait", "10",
    "--slurm-init-seconds-before-status-checks", "3",
    "--default-resources", *SITE, "mem_mb=1000", "runtime=10",
)  # fmt: skip


@pytest.fixture(scope="session")
def slurm():
    """A running cluster with accounting; without one the tests are skipped, and say why."""
    if reason := cluster.obstacle():
        pytest.skip(f"no test cluster: {reason}")
    try:
        cluster.install()
    except OSError as error:
        pytest.skip(f"no test cluster: {error}")
    with open("/var/lock/pcpo-slurm-test.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another test run on this machine has its own first
        try:
            cluster.up()
            yield cluster
        finally:
            cluster.down()


@pytest.fixture(scope="module")
def sources(slurm, tmp_path_factory):
    """A copy of the repository, which the tests share with the small models trained in it."""
    return copy_sources(tmp_path_factory.mktemp("slurm"))


def run(arm, seed=0, experiment=EXPERIMENT):
    """The folder of a training run at smoke scale."""
    return Path(f"results/smoke/runs/{experiment}/{arm}/seed{seed}")


def manifest(arm, seed=0, experiment=EXPERIMENT):
    return str(run(arm, seed, experiment) / "checkpoints.csv")


def arguments(*targets, profile=PROFILE, asked=(), options=()):
    """The command line after `snakemake`; asked: values that come before those of the rules."""
    # Never the profile's own, whose warning comes ten minutes before the end of a day's work.
    resources = ("--set-resources", *(asked or ["train:runtime=60"]))
    return [*profile, *resources, *options, "--config", "scale=smoke", "--", *targets]


def finish(folder, *targets, **options):
    """Run Snakemake to its end, which must be a good one; returns what it printed."""
    code, output = snakemake(folder, *arguments(*targets, **options))
    assert code == 0, output[-6000:]
    return output


def start(folder, *targets, **options):
    """Start Snakemake as from a terminal of its own."""
    output = (folder / "driver.log").open("w")
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", *arguments(*targets, **options)],
        cwd=folder, env=environment(folder), stdout=output, stderr=output, start_new_session=True,
    )  # fmt: skip


def jobs(rule):
    """The jobs of a rule (a pattern) that Slurm has accounted for, in their order.

    State, Start, End, ReqTRES, TimelimitRaw (minutes).
    """
    columns = "JobIDRaw,State,Start,End,ReqTRES,TimelimitRaw,Comment,JobName"
    command = ["sacct", "--allusers", "--allocations", "--parsable2", f"--format={columns}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = csv.DictReader(io.StringIO(done.stdout), delimiter="|")
    named = re.compile(rf"rule_{rule}(_wildcards_.*)?$")
    return [r for r in rows if named.match(r["Comment"]) or r["JobName"] == f"pcpo_{rule}"]


def queued():
    """Numbers of the jobs that Slurm still has in its queue."""
    done = subprocess.run(["squeue", "-h", "-o", "%i"], capture_output=True, text=True, check=True)
    return done.stdout.split()


def processes(folder):
    """Command lines of the processes that work in a folder, except zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                inside = Path(os.readlink(entry / "cwd")).is_relative_to(folder)
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # it has ended
                continue
            if inside and command:
                found.append(f"{entry.name}: {command}")
    return found


def until(done, seconds, what, driver=None):
    """Wait for `done()`; fails after so many seconds, or when a driver ends that should not."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        assert driver is None or driver.poll() is None, f"Snakemake ended before: {what}"
        time.sleep(0.5)


def end(driver):
    """Kill a Snakemake that a failed test left."""
    if driver.poll() is None:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
