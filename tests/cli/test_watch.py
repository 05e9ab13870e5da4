"""The live view: what it says of runs, also while they are written."""

import io
import threading
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from pcpo.cli import watch
from pcpo.records import history, progress
from tests.small import experiment
from tests.training.runs import run

NAME = "01_ddpo_aesthetic_half"


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results" / "smoke"


def folder(results, arm="pcpo", seed=0):
    return results / "runs" / NAME / arm / f"seed{seed}"


def stopped_in(models, path, epoch, epochs=4):
    def crash(row):
        if row["epoch"] == epoch:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        run(models, path, experiment(1, epochs=epochs, checkpoint_every=1), report=crash)


def shown(results):
    console = Console(file=io.StringIO(), width=80)
    console.print(watch.table(results))
    return console.file.getvalue()


def test_a_run_is_seen_as_of_its_last_save(models, results):
    stopped_in(models, folder(results), 3)
    later = datetime.now(UTC) + timedelta(hours=1)
    found = progress.read(folder(results), later)
    assert (found.experiment, found.arm, found.seed) == (NAME, "pcpo", 0)
    assert (found.state, found.epoch) == ("training", 2)
    assert 3590 < found.silent < 3700
    updates = run(models, folder(results), experiment(1, epochs=4, checkpoint_every=1))
    two = updates[updates["epoch"] <= 2]
    assert found.reward == two["reward_mean"].iloc[-1]
    assert found.clip_fraction == pytest.approx(two[two["epoch"] == 2]["clip_fraction"].mean())
    assert found.seconds == pytest.approx(two["seconds"].sum() / 2)
    assert found.left(6) == pytest.approx(4 * found.seconds)
    whole = progress.read(folder(results))
    assert (whole.state, whole.epoch, whole.left(4)) == ("complete", 4, None)


def test_the_table_has_runs_under_way_first_and_writes_nothing(models, results):
    run(models, folder(results, "baseline"), experiment(1, epochs=2), arm="baseline")
    stopped_in(models, folder(results), 2)
    history.append(folder(results, "pcpo", 1), "started", epoch=0)
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    text = shown(results)
    assert "1 of 3 started runs are complete" in text
    first, second, third = [line for line in text.splitlines() if line.startswith(" 01 ")]
    assert "01 pcpo 0 " in first and " training " in first and " 1/2 " in first
    assert "01 pcpo 1 " in second and " 0/2 " in second
    assert " complete " in third and " 2/2 " in third
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*")} == before


def test_it_reads_while_trainings_write(models, results):
    seen, failed, done = [], [], threading.Event()

    def look():
        while not done.is_set():
            try:
                seen.extend(run.epoch for run in progress.read_all(results))
            except Exception as error:  # a thread's errors are lost else
                failed.append(error)
            done.wait(0.01)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        run(models, folder(results), experiment(1, epochs=6, checkpoint_every=1))
    finally:
        done.set()
        thread.join()
    assert failed == []
    assert seen == sorted(seen) and len({*seen}) > 1


def test_a_folder_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["watch", str(tmp_path / "none")])
    with pytest.raises(ValueError, match=r"none is no folder; give results/<scale>"):
        watch.main()
