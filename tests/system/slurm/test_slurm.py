"""The workflow on a real Slurm: its profiles, and what is left when a job or Snakemake is killed.

The GPUs are fake and trainings run on the CPU: that Slurm is asked for the right GPUs is checked,
that a training runs on those that it gets is not.
"""

import os
import signal
from datetime import datetime

import pandas as pd
import pytest

from pcpo.records import history
from tests.system.pipeline import snakemake
from tests.system.slurm.conftest import (
    PROFILE,
    arguments,
    end,
    finish,
    jobs,
    manifest,
    processes,
    queued,
    run,
    start,
    until,
)
from tests.system.test_workflow import expected_outputs

pytestmark = pytest.mark.slurm

# A long run: two minutes at least on any machine, where one of smoke scale takes seconds.
EPOCHS, PAUSE = 120, 1.0
GENERIC = ("--profile", "profiles/cluster-generic", "--latency-wait", "10")
STARVED = ("train:mem_mb=600 if attempt == 1 else 1500 * attempt", "train:runtime=60 * attempt")


def starts_of_one_writer(folder, epochs):
    """Check a run's history: one process at a time, each step once. Returns its starts."""
    updates = pd.read_parquet(folder / "updates.parquet")
    steps = [(epoch, update) for epoch in range(1, epochs + 1) for update in (1, 2)]
    assert list(zip(updates["epoch"], updates["update"], strict=True)) == steps
    events = history.read(folder)
    starts, saved = [], 0
    for event in events:
        if event["event"] == "started":
            starts.append(event)
            assert event["epoch"] == saved, "a start from elsewhere than the last state"
        assert event["process"] == starts[-1]["process"], "two writers at a time"
        if event["event"] == "saved":
            assert event["epoch"] > saved, "a step was done twice"
            saved = event["epoch"]
    assert saved == epochs
    assert events[-1]["event"] == "finished"
    return starts


def test_a_run_killed_for_memory_comes_back_with_more(sources):
    """Besides: the small models that it needs, and a GPU that is asked for by its kind."""
    kind = ("train:gpu=1", "train:gpu_model=fake", "train:slurm_partition=gpu")
    finish(sources, manifest("pcpo"), asked=(*STARVED, *kind))
    assert all(job["State"] == "COMPLETED" for job in jobs("synthetic_.*"))
    killed, again = jobs("train")
    # Where Slurm holds memory by cgroups the state is OUT_OF_MEMORY.
    assert killed["State"] == "FAILED" and "mem=600M" in killed["ReqTRES"]
    assert again["State"] == "COMPLETED" and "mem=3000M" in again["ReqTRES"]
    assert [job["TimelimitRaw"] for job in (killed, again)] == ["60", "120"]
    assert all("gres/gpu=1" in job["ReqTRES"] for job in (killed, again))
    starts_of_one_writer(sources / run("pcpo"), epochs=2)
    # What a scheduler was asked for makes nothing out of date.
    local = ("-n", "--cores", "1", "--config", "scale=smoke", "--", manifest("pcpo"))
    code, output = snakemake(sources, *local)
    assert code == 0 and "Nothing to be done" in output, output


@pytest.mark.slurm_full
def test_the_whole_smoke_pipeline(sources):
    output = finish(sources)
    for file in expected_outputs():
        assert (sources / file).stat().st_size > 100, file
    measured = jobs("(select|generate|generate_base|evaluate|align)")
    assert len(measured) > 50 and all(job["State"] == "COMPLETED" for job in measured)
    assert "localrule table:" in output and not jobs("table")  # drawn where Snakemake runs


@pytest.mark.slurm_full
def test_another_scheduler_by_its_commands(sources):
    finish(sources, manifest("pcpo", seed=9), profile=GENERIC, asked=(*STARVED, "train:gpu=1"))
    killed, again = jobs("train")[-2:]
    assert killed["State"] == "FAILED" and "mem=600M" in killed["ReqTRES"]
    assert again["State"] == "COMPLETED" and "mem=3000M" in again["ReqTRES"]
    assert "gres/gpu=1" in again["ReqTRES"]


# --- a run of minutes -------------------------------------------------------------------------


@pytest.fixture
def long_runs(sources):
    """The sources, with EPOCHS epochs of at least PAUSE seconds in a run of one experiment."""
    scale, loop = sources / "config/scale/smoke.yaml", sources / "pcpo/training/loop.py"
    before = {file: file.read_text() for file in (scale, loop)}
    sizes = "07_dancegrpo_sd15_pickscore: {sampler: *four, batch: *groups"
    epoch = "            started = time.monotonic()\n            shares ="
    assert before[scale].count(sizes) == before[loop].count(epoch) == 1
    more = f"{sizes}, epochs: {EPOCHS}, checkpoint_every: 10"
    scale.write_text(before[scale].replace(sizes, more))
    loop.write_text(before[loop].replace(epoch, f"            time.sleep({PAUSE})\n{epoch}"))
    yield sources
    for file, text in before.items():
        file.write_text(text)


@pytest.mark.slurm_full
@pytest.mark.parametrize(
    ("seed", "state", "asked"),
    [
        (1, "TIMEOUT", ["train:runtime=1 if attempt == 1 else 20"]),
        # As the profile has it: Slurm asks for a stop before it kills, up to a minute earlier yet.
        (2, "FAILED", ["train:runtime=3 if attempt == 1 else 20",
                       "train:slurm_extra='--signal=TERM@60'"]),
    ],
    ids=["killed", "warned"],
)  # fmt: skip
def test_a_run_past_its_wall_time_resumes_from_its_state(long_runs, seed, state, asked):
    before = len(jobs("train"))
    finish(long_runs, manifest("pcpo", seed), asked=asked)
    first, *_, last = own = jobs("train")[before:]
    assert first["State"] == state and last["State"] == "COMPLETED"
    starts = starts_of_one_writer(long_runs / run("pcpo", seed), EPOCHS)
    # One start in each of Slurm's jobs: none is started again inside a job that has to end.
    assert len(starts) == len(own) == 2
    assert 0 < starts[1]["epoch"] < EPOCHS
    events = [event["event"] for event in history.read(long_runs / run("pcpo", seed))]
    assert "stopped" in events  # it saved when Slurm asked it to


@pytest.mark.slurm_full
@pytest.mark.parametrize("profile", [PROFILE, GENERIC], ids=["slurm", "cluster-generic"])
def test_a_killed_snakemake_leaves_no_two_writers(long_runs, profile):
    seed, before = (3 if profile is PROFILE else 4), len(jobs("train"))
    target, folder = manifest("pcpo", seed), long_runs / run("pcpo", seed)
    driver = start(long_runs, target, profile=profile)
    try:
        until(lambda: "saved" in (e["event"] for e in history.read(folder)), 240, "a state", driver)
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
    finally:
        end(driver)
    (left,) = queued()  # Slurm is not informed of Snakemake's end
    code, output = snakemake(long_runs, *arguments(target, profile=profile, options=["--unlock"]))
    assert code == 0, output
    finish(long_runs, target, profile=profile)
    first, second = jobs("train")[before:]
    assert first["JobIDRaw"] == left
    assert first["State"] == second["State"] == "COMPLETED"
    # Both jobs ran at a time, and the second one waited for the first to finish the run.
    assert datetime.fromisoformat(second["Start"]) < datetime.fromisoformat(first["End"])
    starts = starts_of_one_writer(folder, EPOCHS)
    assert [start["epoch"] for start in starts] == [0, EPOCHS]


@pytest.mark.slurm_full
@pytest.mark.parametrize("profile", [PROFILE, GENERIC], ids=["slurm", "cluster-generic"])
def test_ctrl_c_leaves_no_job_and_no_process(long_runs, profile):
    seed = 5 if profile is PROFILE else 6
    folder = long_runs / run("pcpo", seed)
    driver = start(long_runs, manifest("pcpo", seed), profile=profile)
    try:
        until(lambda: "saved" in (e["event"] for e in history.read(folder)), 240, "a state", driver)
        assert len(queued()) == 1
        os.killpg(driver.pid, signal.SIGINT)  # as a terminal does
        assert driver.wait(timeout=120) != 0
    finally:
        end(driver)
    until(lambda: not queued(), 60, "an empty queue")
    until(lambda: not processes(long_runs), 60, "no process of the workflow")
    assert history.read(folder)[-1]["event"] == "stopped"  # it saved before it ended
    arguments_ = arguments(manifest("pcpo", seed), profile=profile, options=["-n"])
    code, output = snakemake(long_runs, *arguments_)
    assert code == 0 and "Nothing to be done" not in output  # not locked, and not taken as complete


# --- last, as it takes the accounting away ----------------------------------------------------


@pytest.mark.slurm_full
def test_a_slurm_without_accounting(sources, slurm):
    slurm.up(accounting=False)
    options = ("--slurm-status-command", "squeue", "--slurm-no-account")
    site = [word for word in PROFILE if not word.startswith("slurm_account")]
    finish(sources, manifest("pcpo", seed=7), profile=site, options=options, asked=STARVED)
    starts_of_one_writer(sources / run("pcpo", seed=7), epochs=2)
