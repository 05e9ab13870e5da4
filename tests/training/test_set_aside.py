"""Runs that were in the way of others: kept whole, found, put back, deleted."""

import fcntl
import sys

import pytest

from pcpo.cli import aside
from pcpo.config import load_arm, load_experiment
from pcpo.records import history
from pcpo.training.identity import OLDER, changed_configuration, differences, other_runs
from pcpo.training.loop import train
from pcpo.training.run import Run
from pcpo.training.run_folder import RunFolder
from pcpo.training.set_aside import all_set_aside, delete, put, restore, set_aside
from pcpo.training.trained_code import older_runs
from tests.small import PROMPTS, brightness, experiment, newest_state, policy


def run(models, path, chosen, identity="same", reward=brightness):
    messages = []
    folder = RunFolder(path, identity)
    with folder.lock():
        fresh = policy(models, chosen, train=True)
        train(Run(chosen, load_arm("pcpo"), 0, fresh, reward, PROMPTS), folder, log=messages.append)
    return messages


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (history.FILE, "lock", "set_aside.json")
    }


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "results/smoke/runs/01/pcpo/seed0"


def untouched(images, prompts):
    raise AssertionError("nothing is left to sample")


def test_a_run_in_the_way_is_kept_whole_and_comes_back(models, place, monkeypatch, capsys):
    chosen = experiment(1, epochs=2)
    run(models, place, chosen)
    first = files(place)
    messages = run(models, place, chosen, identity="another")
    second = files(place)
    [one] = all_set_aside()
    assert files(one.folder) == first
    assert f"kept in {place.parent}/set_aside/seed0_" in messages[1]
    assert f"python -m pcpo.cli.aside --restore {place.parent}" in messages[1]
    assert 'it was "same" and is "another"' in one.why
    assert one.bytes >= sum(map(len, first.values()))
    # No pattern of the workflow takes it for a run.
    assert not list(place.parents[2].glob("*/*/set_aside/checkpoints.csv"))
    assert older_runs(place.parents[2]) == []

    monkeypatch.setattr(sys, "argv", ["aside", "--restore", str(one.folder)])
    aside.main()
    run(models, place, chosen, reward=untouched)
    assert files(place) == first
    [other] = all_set_aside()
    assert files(other.folder) == second
    events = [event["event"] for event in history.read(place)]
    assert events == ["started", "saved", "saved", "finished", "restored", "started", "finished"]

    monkeypatch.setattr(sys, "argv", ["aside"])
    aside.main()
    assert f"{other.folder.name}: 0.00" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["aside", "--delete", str(other.folder)])
    aside.main()
    assert all_set_aside() == []


def test_a_run_is_set_aside_by_a_command(models, place, monkeypatch, capsys):
    chosen = experiment(1, epochs=1)
    run(models, place, chosen)
    first = files(place)
    monkeypatch.setattr(sys, "argv", ["aside", "--put", str(place)])
    aside.main()
    [one] = all_set_aside()
    assert files(one.folder) == first and not files(place)
    assert f"pcpo.cli.aside --restore {one.folder.absolute()}" in capsys.readouterr().out
    for empty in (place, place.parent, place / "nowhere"):
        with pytest.raises(ValueError, match=f"{empty}: no run is here"):
            put(empty)


@pytest.mark.parametrize("path", ["demo/runs/01/pcpo/seed0", "own/run"])
def test_runs_of_the_workflow_and_of_align_are_found(tmp_path, path):
    """`pcpo.align` is given any folder, such as results/own/run."""
    run = tmp_path / "results" / path
    run.mkdir(parents=True)
    (run / "checkpoints.csv").write_text("manifest")
    kept = put(run)
    [one] = all_set_aside(tmp_path / "results")
    assert (one.folder, one.run) == (kept, run)
    assert kept.parent == run.parent / "set_aside"
    restore(kept)
    assert all_set_aside(tmp_path / "results") == []


def test_a_damaged_note_costs_the_reason_alone(models, place):
    run(models, place, experiment(1, epochs=1))
    first = files(place)
    kept = put(place)
    for content in (b"", b"[]", b"{}", b'{"run": "seed0", "why": "\xff"}'):
        (kept / "set_aside.json").write_bytes(content)
        [one] = all_set_aside()
        assert one.run.absolute() == place and "set_aside.json is damaged" in one.why
    restore(kept)
    assert files(place).keys() == first.keys() - {"checkpoints.csv"}


def test_nothing_is_set_aside_where_nothing_is(tmp_path):
    history.append(tmp_path / "run", "started", epoch=0)
    assert set_aside(tmp_path / "run", "no reason") is None


def test_two_within_a_second_have_folders_of_their_own(tmp_path):
    kept = set()
    for number in range(3):
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "run" / "checkpoints.csv").write_text(str(number))
        kept.add(set_aside(tmp_path / "run", "a test"))
    assert sorted((k / "checkpoints.csv").read_text() for k in kept) == ["0", "1", "2"]


@pytest.mark.parametrize("kill", range(4))
def test_a_kill_in_the_midst_loses_nothing(tmp_path, monkeypatch, kill):
    run = tmp_path / "run"
    for name in ("checkpoints", "resume"):
        (run / name).mkdir(parents=True)
        (run / name / "file").write_text(name)
    (run / "checkpoints.csv").write_text("manifest")
    rename, calls = type(run).rename, []

    def killed(path, target):
        calls.append(path)
        if len(calls) == kill + 1:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(type(run), "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        set_aside(run, "a test")
    monkeypatch.undo()
    kept = set_aside(run, "a test")
    assert [p.name for p in (tmp_path / "set_aside").iterdir()] == [kept.name]
    assert set(files(kept)) == {"checkpoints/file", "resume/file", "checkpoints.csv"}
    assert [p.name for p in run.iterdir()] == [history.FILE]


def test_a_run_that_is_trained_is_left_alone_and_so_is_any_other_folder(models, place):
    chosen = experiment(1, epochs=1)
    run(models, place, chosen)
    run(models, place, chosen, identity="another")
    [one] = all_set_aside()
    with (place / "lock").open("a+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match=r"seed0: process \d+ on .* trains this run; stop it"):
            restore(one.folder)
    for folder in (place, place / "checkpoints", place.parent):
        with pytest.raises(ValueError, match="no run that was set aside is here"):
            delete(folder)
    assert one.folder.is_dir() and (place / "checkpoints.csv").exists()


def test_what_differs_is_printed_before_training_starts(models, place):
    chosen = load_experiment(1, "smoke")
    assert changed_configuration(place, chosen, load_arm("pcpo"), 0) == []
    small = experiment(1, epochs=1)
    from pcpo.training.identity import configuration

    known = configuration(small, load_arm("pcpo"), 0) | {"model": "abc"}
    run(models, place, small, identity=known)
    assert changed_configuration(place, small, load_arm("pcpo"), 0) == []
    longer = small.model_copy(update={"epochs": 9, "checkpoint_every": 9})
    assert other_runs({place: (longer, "pcpo", 0)}) == ""
    other = small.model_copy(update={"clip_range": 0.5})
    messages = other_runs({place: (other, "pcpo", 0)})
    assert f"{place}: experiment.clip_range was {small.clip_range} and is 0.5" in messages
    assert "set aside beside it, not deleted" in messages and "pcpo.cli.aside" in messages
    (newest_state(place) / "state.json").write_text('{"fingerprint": "1"}')
    assert changed_configuration(place, small, load_arm("pcpo"), 0) == [OLDER]
    for damaged in (b"damaged", b"\xff", b"[]", b"7", b"[" * 10**5):
        (newest_state(place) / "state.json").write_bytes(damaged)
        assert changed_configuration(place, small, load_arm("pcpo"), 0) == []


def test_differences_are_named_by_their_keys():
    assert differences({"a": {"b": 1, "c": [1]}}, {"a": {"b": 2, "c": [1]}, "d": None}) == [
        "a.b was 1 and is 2"
    ]
    assert differences({"a": 1}, {}) == ["a was 1 and is null"]
    assert differences("x", "x") == []


def test_a_run_that_lies_on_another_disk_is_named_and_stays(tmp_path, mounted):
    disk = mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=1m", "tmpfs")
    (disk / "checkpoints").mkdir()
    run = tmp_path / "runs" / "seed0"
    run.parent.mkdir()
    run.symlink_to(disk)
    with pytest.raises(ValueError, match="lies on another disk than"):
        set_aside(run, "why")
    assert (disk / "checkpoints").is_dir()
