"""Faults of disks, clocks and shared file systems: a clear message, or a correct run."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from pcpo.config import load_arm
from pcpo.records import history
from pcpo.training.loop import train
from pcpo.training.observer import Observer
from pcpo.training.run import Run
from pcpo.training.run_folder import LOGS, RunFolder, read_manifest
from tests.small import PROMPTS, brightness, experiment, policy
from tests.system.stop.crash import killed_at, touched
from tests.system.stop.sameness import assert_goes_on_from_what_was_saved

CHOSEN = experiment(1, epochs=3, checkpoint_every=1)


def run(models, path, report=lambda row: None, log=lambda message: None, chosen=CHOSEN):
    """Train a small run to its end, or to what stops it."""
    folder = RunFolder(path, "the same")
    with folder.lock(log):
        fresh = policy(models, chosen, train=True)
        run = Run(chosen, load_arm("pcpo"), 0, fresh, brightness, PROMPTS)
        train(run, folder, [Observer(update=report)], log)


def assert_same_run(path, whole):
    """Same numbers in every frame, same bytes in every checkpoint."""
    for spec in LOGS:
        frames = [pd.read_parquet(p / f"{spec.name}.parquet") for p in (path, whole)]
        own, other = (frame.drop(columns="seconds", errors="ignore") for frame in frames)
        pd.testing.assert_frame_equal(own, other, check_exact=True)
    manifests = [read_manifest(p / "checkpoints.csv") for p in (path, whole)]
    for one, other in zip(*(m.values() for m in manifests), strict=True):
        for file in other.iterdir():
            assert (one / file.name).read_bytes() == file.read_bytes(), file


@pytest.fixture(scope="module")
def whole(models, tmp_path_factory):
    """A run that nothing disturbed."""
    path = tmp_path_factory.mktemp("whole")
    run(models, path)
    return path


def in_epoch(number, act):
    """A report of rows that calls `act` in an epoch, before its state is saved."""

    def report(row):
        if row["epoch"] == number and row["update"] == 1:
            act()

    return report


def stopped_in_epoch_3(models, path):
    """A run that was stopped hard, with the states of epochs 1 and 2."""

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(models, path, in_epoch(3, stop))


# --- disks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", [0, 80, 120, 344, 456])
def test_a_full_disk_is_named_and_nothing_is_lost(models, whole, tmp_path, mounted, left):
    """A real one, of 4 MB; `left` KB are free when epoch 2 is saved: another write fails each."""
    disk = mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=4m", "tmpfs")
    filler, log = disk / "filler", []

    def fill():
        room = os.statvfs(disk)
        filler.write_bytes(bytes(room.f_bavail * room.f_frsize - 1024 * left))

    with pytest.raises(OSError) as caught:  # noqa: PT011  (its text is what the test is about)
        run(models, disk / "run", in_epoch(2, fill))
    assert caught.value.errno in (errno.ENOSPC, None)
    assert "No space left on device" in str(caught.value)
    assert str(disk / "run") in str(caught.value)
    filler.unlink()
    run(models, disk / "run", log=log.append)
    assert log[0].startswith("resuming after epoch ")
    assert_same_run(disk / "run", whole)
    assert_goes_on_from_what_was_saved(disk / "run")


def test_a_folder_that_becomes_read_only_is_named_and_nothing_is_lost(
    models, whole, tmp_path, mounted
):
    path = tmp_path / "run"

    def read_only(folder):
        return lambda: mounted(folder, "-o", "bind,ro", folder)

    for folder in (path / "checkpoints", path / "resume"):
        with pytest.raises(OSError, match=f"{folder}/epoch_00002: .*: Read-only file system"):
            run(models, path, in_epoch(2, read_only(folder)))
        subprocess.run(["umount", folder], check=True)
    read_only(path)()
    with pytest.raises(OSError, match=f"Read-only file system: '{path}/lock'"):
        run(models, path)
    subprocess.run(["umount", path], check=True)
    run(models, path)
    assert_same_run(path, whole)


def test_a_kill_while_going_back_from_a_damaged_state_loses_nothing(models, whole, tmp_path):
    """The state of epoch 2 is damaged; the save that replaces it is killed at its steps."""
    path, kept = tmp_path / "run", tmp_path / "kept"
    stopped_in_epoch_3(models, path)
    state = path / "resume" / "epoch_00002" / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-1])
    shutil.copytree(path, kept)
    steps = touched(lambda: run(models, path), path)
    saving = [
        n for n, step in enumerate(steps, 1) if "resume/epoch_00002." in step and ".part" in step
    ]
    for number in (saving[0], saving[len(saving) // 2], saving[-1]):
        shutil.rmtree(path)
        shutil.copytree(kept, path)
        what = killed_at(number, lambda: run(models, path), path)
        assert what == steps[number - 1]
        run(models, path)
        assert_same_run(path, whole)


# --- clocks -------------------------------------------------------------------------------------


class Backwards(datetime):
    """A clock that is set back a minute each time that somebody looks at it."""

    looks = 0

    @classmethod
    def now(cls, tz=None):
        cls.looks += 1
        return datetime.fromtimestamp(2e9 - 60 * cls.looks, tz)


def test_a_clock_that_goes_backwards(models, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: Backwards.now(UTC).timestamp())
    monkeypatch.setattr(history, "datetime", Backwards)
    stopped_in_epoch_3(models, tmp_path)
    run(models, tmp_path)
    times = [event["time"] for event in history.read(tmp_path)]
    assert times == sorted(times, reverse=True)
    assert_same_run(tmp_path, whole)
    assert_goes_on_from_what_was_saved(tmp_path)  # in the order of its lines, not of their times
    assert (pd.read_parquet(tmp_path / "updates.parquet")["seconds"] > 0).all()


# --- file systems that several machines share ---------------------------------------------------


def test_a_listing_that_does_not_show_the_newest_state_yet(models, whole, tmp_path, monkeypatch):
    stopped_in_epoch_3(models, tmp_path)
    glob, log = Path.glob, []

    def stale(self, pattern):
        found = [p for p in glob(self, pattern) if not (p.name == "epoch_00002" and not log)]
        return iter(found)

    monkeypatch.setattr(Path, "glob", stale)
    run(models, tmp_path, log=log.append)
    assert log == ["resuming after epoch 1"]
    assert_same_run(tmp_path, whole)


def test_a_listing_that_still_shows_a_state_that_is_gone(models, whole, tmp_path, monkeypatch):
    stopped_in_epoch_3(models, tmp_path)
    glob, log = Path.glob, []

    def stale(self, pattern):
        gone = [self / "epoch_00009"] if pattern == "epoch_*" and not log else []
        return iter([*gone, *glob(self, pattern)])

    monkeypatch.setattr(Path, "glob", stale)
    run(models, tmp_path, log=log.append)
    assert "epoch_00009" in log[0]
    assert log[-1] == "resuming after epoch 2"
    assert_same_run(tmp_path, whole)


# --- two processes ------------------------------------------------------------------------------


TWICE = """
import sys
from pathlib import Path
from pcpo.config import ModelSource
from tests.system.stop.test_faults import CHOSEN, run
run({CHOSEN.model: ModelSource(path=sys.argv[1])}, Path(sys.argv[2]), log=print)
"""


def test_two_processes_on_one_run_take_turns(models, whole, tmp_path):
    """The second waits, says for whom, and finds the run complete; no step is done twice."""
    arguments = [sys.executable, "-uc", TWICE, models[CHOSEN.model].path, tmp_path / "run"]
    root = Path(__file__).parents[3]
    first = subprocess.Popen(arguments, cwd=root, stdout=subprocess.DEVNULL)
    while not [e for e in history.read(tmp_path / "run") if e["event"] == "started"]:
        assert first.poll() is None
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)  # so that the second meets it however busy the machine is
    second = subprocess.Popen(arguments, cwd=root, stdout=subprocess.PIPE, text=True)
    assert second.stdout is not None
    assert "trains this run; waiting" in second.stdout.readline()
    first.send_signal(signal.SIGCONT)
    output, _ = second.communicate(timeout=240)
    assert [first.wait(), second.returncode] == [0, 0]
    assert "resuming after epoch 3" in output
    assert_same_run(tmp_path / "run", whole)
    events = [e["event"] for e in history.read(tmp_path / "run")]
    assert events == ["started", *["saved"] * 3, "finished", "started", "finished"]


def test_a_process_that_waits_resumes_where_the_first_was_killed(models, whole, tmp_path):
    arguments = [sys.executable, "-uc", TWICE, models[CHOSEN.model].path, tmp_path / "run"]
    root, folder = Path(__file__).parents[3], tmp_path / "run"
    first = subprocess.Popen(arguments, cwd=root, stdout=subprocess.DEVNULL)
    while not [e for e in history.read(folder) if e["event"] == "saved"]:
        assert first.poll() is None
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)  # holds the lock, and does nothing more
    second = subprocess.Popen(arguments, cwd=root, stdout=subprocess.PIPE, text=True)
    assert second.stdout is not None
    assert "waiting" in second.stdout.readline()
    first.kill()
    first.wait()
    rest, _ = second.communicate(timeout=120)
    assert second.returncode == 0
    assert "resuming after epoch" in rest
    assert_same_run(folder, whole)
    assert_goes_on_from_what_was_saved(folder)
    assert json.loads((folder / "resume/epoch_00003/state.json").read_text())["epoch"] == 3
