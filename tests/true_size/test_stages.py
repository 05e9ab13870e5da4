"""Stages are done once, in order, and go on after a failure; commands are watched."""

import sys

import pytest

from pcpo.cost.memory import CONTEXT
from tests.true_size.held import Held, table
from tests.true_size.stages import Failure, Record, Stage, forget, run_stages
from tests.true_size.watching import watch


@pytest.fixture
def said():
    return []


def made(record, done, said, broken=()):
    """Stages a, b, which c needs, and c and d, which note that they ran; those of `broken` fail."""

    def stage(name):
        def run():
            done.append(name)
            if name in broken:
                raise Failure("it broke")
            return {"letter": name}

        return Stage(name, f"stage {name}", run, needs=("b",) if name == "c" else ())

    return lambda *chosen: run_stages([stage(n) for n in "abcd"], record, chosen, said.append)


def test_a_stage_whose_outputs_are_kept_is_not_done_again_alone(tmp_path):
    record = Record(tmp_path / "stages")
    stages = [Stage("plan", "", dict), Stage("train", "", dict, workflow=True)]
    for stage in stages:
        record.keep(stage.name, {})
    with pytest.raises(ValueError, match=r"--again train: the outputs are in .*made"):
        forget(stages, ["plan", "train"], record, tmp_path / "made")
    assert record.done("plan") and record.done("train")
    forget(stages, ["plan"], record, tmp_path / "made")
    assert not record.done("plan") and record.done("train")


def test_a_rerun_goes_on_after_what_is_done(tmp_path, said):
    record, done = Record(tmp_path / "stages"), []
    assert not made(record, done, said, broken="b")()
    assert done == ["a", "b", "d"]
    assert "b: FAILED: it broke" in said and "c: not run: it needs b" in said
    assert made(record, done, said)()
    assert done == ["a", "b", "d", "b", "c"]  # a and d are not done again
    assert record.facts("c")["letter"] == "c"
    record.forget("a")
    assert made(record, done, said)("a", "c")
    assert done == ["a", "b", "d", "b", "c", "a"]


def test_an_unknown_stage_and_facts_of_one_that_is_not_done(tmp_path, said):
    record = Record(tmp_path)
    with pytest.raises(ValueError, match="no stage e; there are: a, b, c, d"):
        made(record, [], said)("e")
    with pytest.raises(Failure, match="stage a is not done yet: run it first"):
        record.facts("a")


def test_peaks_of_a_stage_that_stopped_half_way_are_kept(tmp_path):
    record = Record(tmp_path)
    assert record.peaks("a", {"train": 5}) == {"train": 5}
    assert record.peaks("a", {"train": 3, "select": 2}) == {"train": 5, "select": 2}
    record.forget("a")
    assert record.peaks("a", {}) == {}


# 300 MB in a process below the one that is started, for a second
CHILD = "x = bytearray(300_000_000); import time; time.sleep(1)"
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-m', 'child'])"


@pytest.fixture
def watched(tmp_path):
    (tmp_path / "child.py").write_text(CHILD)

    def run(code=PARENT, most=4e9, **options):
        command = [sys.executable, "-c", code]
        return watch(command, tmp_path, {}, tmp_path / "log", most, **options)

    return run


def test_the_peak_of_a_command_below(watched):
    usage = watched()
    assert usage.code == 0
    assert 300e6 < usage.peaks["child"] < 340e6
    assert 300e6 < usage.together < 380e6
    assert 1 < usage.seconds < 60


def test_too_much_memory_and_a_kill_end_all_processes(watched):
    with pytest.raises(Failure, match=r"0\.[23] GB are resident together, more than 0\.2"):
        watched(most=0.2e9)
    calls = []

    def soon():
        calls.append(1)
        return len(calls) > 2

    usage = watched("import time; print('on', flush=True); time.sleep(600)", at_times=soon)
    assert usage.code == -9
    assert watched("raise SystemExit(3)").code == 3


def test_plan_and_measurement_are_compared_without_the_libraries():
    context = CONTEXT["cpu"] / 1e9
    near = Held("train", planned=context + 4, measured=0.9 + 4.5, libraries=0.9)
    far = Held("select", planned=context + 4, measured=0.9 + 4.7, libraries=0.9)
    assert near.ratio == pytest.approx(4.5 / 4) and near.agrees
    assert far.ratio == pytest.approx(4.7 / 4) and not far.agrees
    lines = table([near, far]).splitlines()
    assert lines[2] == "| train | 5.00 | 5.40 | x 1.12 |  |"
    assert lines[3].endswith("| x 1.18 | more than 15% apart |")
