"""Faults around a job of Snakemake: files that show up late, wrong times, no right to write."""

import hashlib
import os
import time

import pytest

from tests.system.pipeline import copy_sources, snakemake

WANTED = "results/smoke/synthetic/quality_network/config.json"
ONE_JOB = ("--cores", "1", "--config", "scale=smoke", "--", WANTED)

# For Python's `site`: a renaming by a job takes effect when the job has been over for a while.
# They keep their order: a new folder must not arrive before the old one has left its place.
LATE = """
import itertools, os, sys, time
if any(word.startswith("pcpo.") for word in sys.orig_argv):
    order = itertools.count()
    def late(rename):
        def begin(*places):
            job, place = os.getpid(), next(order)
            if os.fork() == 0:
                null = os.open(os.devnull, os.O_RDWR)
                for stream in (0, 1, 2):
                    os.dup2(null, stream)  # Snakemake does not wait for this process
                while os.getppid() == job:
                    time.sleep(0.01)
                time.sleep(1.5 + 0.1 * place)
                rename(*places)
                os._exit(0)
        return begin
    os.replace, os.rename = late(os.replace), late(os.rename)
"""


def made(folder):
    """Path -> digest of what the job leaves."""
    root = folder / "results" / "smoke" / "synthetic"
    files = (p for p in root.rglob("*") if p.is_file())
    return {p.relative_to(root): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with the quality network, and what that is."""
    folder = copy_sources(tmp_path_factory.mktemp("jobs"))
    code, output = snakemake(folder, *ONE_JOB)
    assert code == 0, output
    return folder, made(folder)


@pytest.mark.slow
def test_outputs_that_show_up_late_are_waited_for(finished, tmp_path):
    copy_sources(tmp_path)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(LATE)
    code, output = snakemake(tmp_path, *ONE_JOB, variables={"PYTHONPATH": str(tmp_path / "site")})
    assert code == 0, output
    assert "Waiting at most" in output
    assert made(tmp_path) == finished[1]


@pytest.mark.slow
def test_after_a_clock_was_set_back_nothing_is_done_again(finished):
    """Sources seem to be of the future, newer than all that was made; their contents decide."""
    folder, before = finished
    future = time.time() + 3600
    for file in (folder / "pcpo" / "synthetic").glob("*.py"):
        os.utime(file, (future, future))
    code, output = snakemake(folder, *ONE_JOB)
    assert code == 0, output
    assert "Nothing to be done" in output
    assert made(folder) == before


@pytest.mark.slow
def test_results_that_cannot_be_written_are_named(tmp_path, mounted):
    results = copy_sources(tmp_path) / "results"
    results.mkdir()
    mounted(results, "-o", "bind,ro", results)
    code, output = snakemake(tmp_path, *ONE_JOB)
    assert code == 1
    assert "Read-only file system: " in output
    assert "results/smoke" in output
