"""Runs that other code trained are found, accepted, deleted."""

import shutil

import pytest

from pcpo.paths import PACKAGE
from pcpo.records import history, sources
from pcpo.training import set_aside, trained_code
from pcpo.training.trained_code import accept, changed_sources, notice, older_runs, redo


@pytest.fixture
def here(monkeypatch):
    """The digests of the code that is here, for a test to edit."""
    digests = {"training/loop.py": "a", "credit.py": "b"}
    monkeypatch.setattr(trained_code, "code_digests", lambda *rewards: dict(digests))
    return digests


@pytest.fixture
def trained(tmp_path, here):
    folder = tmp_path / "runs" / "01" / "pcpo" / "seed0"
    (folder / "checkpoints" / "epoch_00001").mkdir(parents=True)
    (folder / "checkpoints.csv").write_text("epoch,folder\n")
    history.append(folder, "started", epoch=0, code=dict(here))
    history.append(folder, "finished", epoch=1)
    return folder


def test_a_changed_source_is_named_until_it_is_accepted(tmp_path, here, trained):
    runs = tmp_path / "runs"
    assert older_runs(runs) == []
    here["training/loop.py"] = "c"
    here["training/ema.py"] = "new"
    [older] = older_runs(runs)
    assert older.folder == trained
    assert older.changed == ("training/ema.py", "training/loop.py")
    printed = notice([older], "demo")
    assert (
        "1 trained runs are of older code (pcpo/training/ema.py, pcpo/training/loop.py changed"
        in printed
    )
    assert "--scale demo --accept" in printed
    accept(trained)
    assert older_runs(runs) == []
    here["training/loop.py"] = "d"
    assert changed_sources(trained) == ("training/loop.py",)


def test_a_run_that_resumed_with_newer_code_is_older_in_part(here, trained):
    here["credit.py"] = "new"
    history.append(trained, "started", epoch=1, code=dict(here))
    assert changed_sources(trained) == ("credit.py",)
    history.append(trained, "started", epoch=0, code=dict(here))  # from the start
    assert changed_sources(trained) == ()


REWARDS = {
    "_base": "import torch",
    "plain": "from pcpo.rewards import _base",
    "parent": "from pcpo.rewards._base import Reward",
    "absolute": "import pcpo.rewards.parent",
    "relative": "from . import parent",
    "inside": "def late():\n    from .parent import Reward",
    "grandchild": "from pcpo.rewards.relative import Reward",
    "ring": "from pcpo.rewards import ring, parent",
    "broken": "from pcpo.rewards import (",
}


@pytest.fixture
def rewards(tmp_path, monkeypatch):
    """The folder of rewards of a copy of the package, which has those of `REWARDS` besides."""
    package = tmp_path / "pcpo"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in REWARDS.items():
        (package / "rewards" / f"{name}.py").write_text(text + "\n")
    monkeypatch.setattr(sources, "PACKAGE", package)
    # As another process would, without the cache.
    monkeypatch.setattr(trained_code, "digests", sources.digests.__wrapped__)
    return package / "rewards"


def edit(file):
    with file.open("a") as module:
        module.write("# edited\n")


def trained_by(reward, run):
    run.mkdir()
    history.append(run, "started", epoch=0, code=trained_code.code_digests(reward))
    assert changed_sources(run) == ()
    return run


@pytest.mark.parametrize(
    ("name", "others"),
    [
        ("plain", {"_base"}),
        ("absolute", {"parent", "_base"}),
        ("relative", {"parent", "_base"}),
        ("inside", {"parent", "_base"}),
        ("grandchild", {"relative", "parent", "_base"}),
        ("ring", {"parent", "_base"}),
        ("broken", set()),
    ],
)
def test_a_reward_is_made_of_what_it_imports(rewards, name, others):
    expected = {f"rewards/{n}.py" for n in {name, *others}}
    shared = {f"rewards/{n}.py" for n in ("__init__", "_base")}  # by which all are loaded
    assert set(trained_code.reward_sources(name)) == expected | shared


def test_a_reward_that_is_gone_has_no_sources(rewards):
    assert trained_code.reward_sources("nothing") == ()


def test_an_edit_of_a_rewards_parent_flags_the_runs_that_it_trained(tmp_path, rewards):
    runs = {name: trained_by(name, tmp_path / name) for name in ("grandchild", "plain")}
    edit(rewards / "parent.py")
    (rewards / "new.py").write_text("1")
    assert changed_sources(runs["grandchild"]) == ("rewards/parent.py",)
    assert changed_sources(runs["plain"]) == ()
    accept(runs["grandchild"])
    assert changed_sources(runs["grandchild"]) == ()
    edit(rewards / "_base.py")
    assert changed_sources(runs["plain"]) == ("rewards/_base.py",)
    history.append(runs["plain"], "started", epoch=0, code=trained_code.code_digests("ring"))
    assert changed_sources(runs["plain"]) == ()  # again, by another reward


@pytest.mark.parametrize(
    ("edited", "named"),
    [
        ("training/learner.py", True),
        ("samplers/ddim.py", True),
        ("rewards/_open_clip.py", True),
        ("rewards/_clip.py", False),  # of other rewards
        ("training/run_folder.py", False),
        ("records/replace.py", False),
        ("config/files.py", False),
        ("cli/console.py", False),
        ("cli/train.py", False),
    ],
)
def test_an_edit_names_a_run_whose_numbers_depend_on_it(tmp_path, rewards, edited, named):
    run = trained_by("hps", tmp_path / "run")
    edit(rewards.parent / edited)
    assert changed_sources(run) == ((edited,) if named else ())


def test_the_published_rewards_are_made_of_modules_of_their_own():
    """None is built on another one, so that an edit of one touches the runs of one."""
    for name in ("aesthetic", "bertscore", "hps", "pickscore", "clipscore", "imagereward", "ocr"):
        found = [s for s in trained_code.reward_sources(name) if s.startswith("rewards/")]
        assert [source for source in found if "/_" not in source] == [f"rewards/{name}.py"]
        assert "rewards/_base.py" in trained_code.reward_sources(name)


def test_a_run_to_redo_is_set_aside_whole(tmp_path, here, trained):
    here["credit.py"] = "new"
    kept = redo(trained)
    assert {path.name for path in trained.iterdir()} == {history.FILE, "lock"}
    assert older_runs(tmp_path / "runs") == []  # neither here nor there
    assert (kept / "checkpoints" / "epoch_00001").is_dir()
    assert (kept / "checkpoints.csv").exists()
    assert changed_sources(kept) == ("credit.py",)
    assert set_aside.read(kept).why == "to be trained again: credit.py changed"


def test_without_older_runs_there_is_no_notice():
    assert notice([], "demo") == ""


def test_time_held_leaves_out_what_came_before_a_new_beginning(tmp_path):
    lines = [
        ("00:00", "started", "a", 0), ("01:00", "saved", "a", 1),
        ("02:00", "started", "b", 0), ("03:00", "saved", "b", 1),  # stale: from the start
        ("05:00", "started", "c", 1), ("05:30", "finished", "c", 2),
    ]  # fmt: skip
    events = [
        {"time": f"2026-01-01T{t}:00+00:00", "event": e, "process": p, "epoch": n, "gpus": 2}
        for t, e, p, n in lines
    ]
    assert history.seconds_held(events) == [(3600, 2), (1800, 2)]


def test_a_line_that_a_full_disk_tore_costs_no_other(tmp_path):
    history.append(tmp_path, "started", epoch=0)
    with (tmp_path / history.FILE).open("a") as handle:
        handle.write('{"time": "2026-')
    history.append(tmp_path, "saved", epoch=1)
    assert [event["event"] for event in history.read(tmp_path)] == ["started", "saved"]


def test_a_flipped_bit_in_a_history_loses_no_event_in_silence(tmp_path):
    """It is named, or is within a value that is still one of its kind."""
    code = {"training/loop.py": "ab12"}
    history.append(tmp_path, "started", epoch=0, gpus=1, code=code)
    history.append(tmp_path, "finished", epoch=1)
    file = tmp_path / history.FILE
    whole = file.read_bytes()
    count = 0
    for position in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[position // 8] ^= 1 << position % 8
        file.write_bytes(damaged)
        try:
            events = history.read(tmp_path)
        except history.DamagedHistory:
            count += 1
        else:
            assert [event["event"] for event in events] == ["started", "finished"]
            history.seconds_held(events)
    assert count > 4 * len(whole)


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"7",
        b"{}",
        b'{"event": "saved"}',
        b'{"event": "saved", "process": "1", "time": "yesterday"}',
        b'{"event": "saved", "process": "1", "time": "2026-01-01"}',
        b'{"event": "started", "process": "1", "time": "2026-01-01T00:00:00+00:00"}',
        b'{"event": "sav\xff", "process": "1", "time": "2026-01-01T00:00:00+00:00"}',
        b"[" * 10**5 + b"]",
    ],
)
def test_a_damaged_history_is_named_and_costs_no_other_run(tmp_path, here, trained, line):
    other = trained.with_name("seed1")
    shutil.copytree(trained, other)
    with (other / history.FILE).open("ab") as handle:
        handle.write(line + b"\n")
    runs = tmp_path / "runs"
    [bad] = older_runs(runs)
    assert bad.folder == other
    problem_line = f"{other / history.FILE}: line 3 is damaged"
    assert problem_line in bad.problem and problem_line in notice([bad], "demo")
    assert "older code" not in notice([bad], "demo")
    here["training/loop.py"] = "c"
    older, bad = older_runs(runs)
    assert older.changed == ("training/loop.py",) and bad.problem
    printed = notice([older, bad], "demo")
    assert problem_line in printed and "1 trained runs are of older code" in printed
