import re
from pathlib import Path

import pytest

from pcpo.config import load_experiment
from pcpo.records import history, provenance
from pcpo.report import collect, render
from pcpo.report.costs import GPU_STEPS, GUIDANCE, read_costs
from pcpo.report.plan import read_plan


def test_sums_over_jobs_longest_step_first(results):
    train, select = read_costs(results.root, [], "cpu")
    assert (train.name, len(train.jobs), train.seconds, train.cpu_seconds) == ("train", 2, 180, 90)
    assert select.seconds == 30
    assert train.memory_gb == pytest.approx(1000 * 1024**2 / 1e9)
    assert train.gpu_hours == select.gpu_hours == 0


def test_gpu_hours_are_wall_time_times_the_gpus_asked_for(results):
    experiment = load_experiment(2, "paper")
    several = experiment.execution.model_copy(update={"gpus": 4})
    experiment = experiment.model_copy(update={"execution": several})
    train, select = read_costs(results.root, [experiment], "cuda")
    assert train.gpu_hours == pytest.approx(4 * 180 / 3600)
    assert select.gpu_hours == pytest.approx(30 / 3600)


def test_the_steps_that_ask_for_gpus_are_those_of_the_rules():
    asking = set()
    for path in Path("rules").glob("*.smk"):
        for rule in re.split(r"^ *rule\b", path.read_text(), flags=re.M):
            if re.search(r"^ +gpu=", rule, re.M):
                named = re.match(r' (\w+):|:\s+name:\s+f"(\w+){name}"', rule)
                asking.add(named[1] or named[2])
    assert asking == {*GPU_STEPS, GUIDANCE}


def test_samples_between_models_have_gpu_hours(results):
    job = results.root / "benchmarks/reward_guidance_02_ddpo_aesthetic/0.tsv"
    job.parent.mkdir()
    job.write_text("s\tmax_rss\tcpu_time\n7200\t1000\t1\n")
    first, *_ = read_costs(results.root, [], "cuda")
    assert (first.name, first.gpu_hours) == ("reward_guidance_02_ddpo_aesthetic", 2)


def test_a_job_too_short_to_be_measured(results):
    path = results.root / "benchmarks" / "select" / "02_ddpo_aesthetic_0.tsv"
    path.write_text("s\tmax_rss\tcpu_time\n0.02\t-\tNA\n")
    select = read_costs(results.root, [], "cpu")[-1]
    assert (select.seconds, select.cpu_seconds, select.memory_gb) == (0.02, 0, 0)
    assert select.jobs[0].cpu_seconds != select.jobs[0].cpu_seconds  # NaN


def test_a_damaged_history_is_named_and_costs_no_other(results):
    runs = results.root / "runs/02_ddpo_aesthetic"
    for arm in ("baseline", "pcpo"):
        for epoch in (0, 1):
            history.append(runs / arm / "seed0", "started", epoch=epoch)
    file = runs / "pcpo/seed0" / history.FILE
    file.write_bytes(file.read_bytes().replace(b"started", b"star\xffed", 1))
    train, _ = read_costs(results.root, [load_experiment(2, "paper")], "cpu")
    assert [bool(job.problem) for job in train.jobs] == [False, True]
    assert f"{file}: line 1 is damaged" in train.jobs[1].problem
    assert train.seconds == pytest.approx(180, abs=1)
    page = collect(results.root, "demo", ["02_ddpo_aesthetic"], [0])
    reasons = [f"{piece.title}: {piece.why}" for piece in page.missing if piece.name == "costs"]
    assert reasons == [f"All that train 02_ddpo_aesthetic_pcpo_0 cost: {train.jobs[1].problem}"]
    assert "line 1 is damaged" in render(page)


def test_the_run_of_a_training_is_that_of_its_record(results):
    """A name that could be cut in several ways is not cut."""
    train, _ = read_costs(results.root, [], "cpu")
    assert {job.run for job in train.jobs} == {
        provenance.Run("02_ddpo_aesthetic", arm, 0) for arm in ("baseline", "pcpo")
    }


@pytest.mark.parametrize("damage", [None, "", "{}", '{"resolved": {"experiment": "02", "arm": 1}}'])
def test_a_training_without_a_record_is_named_and_costs_no_other(results, damage):
    record = results.root / "provenance/train/02_ddpo_aesthetic_pcpo_0.json"
    record.unlink() if damage is None else record.write_text(damage)
    train, _ = read_costs(results.root, [load_experiment(2, "paper")], "cuda")
    assert [job.run is None for job in train.jobs] == [False, True]
    assert re.search(rf"{record}: .*; which run was trained is not known", train.jobs[1].problem)
    assert train.seconds == 180
    page = collect(results.root, "demo", ["02_ddpo_aesthetic"], [0])
    [pcpo] = [r for r in page.configurations[0].runs if r.arm == "pcpo"]
    assert pcpo.job is None
    assert "which run was trained is not known" in render(page)


@pytest.mark.parametrize(
    "text", ["", "s\n1\n", "s\tmax_rss\tcpu_time\n", "s\tmax_rss\tcpu_time\nx\t1\t1\n"]
)
def test_a_broken_benchmark_is_named_and_costs_no_other(results, text):
    (results.root / "benchmarks" / "select" / "02_ddpo_aesthetic_0.tsv").write_text(text)
    train, select = read_costs(results.root, [], "cpu")
    assert train.seconds == 180 and select.seconds == select.gpu_hours == 0
    assert "02_ddpo_aesthetic_0.tsv: " in select.jobs[0].problem


def test_the_plan_beside_what_was_held(results):
    columns = "experiment,what,runs,images,gpu_hours,gpus,gpu_gb,disk_gb"
    rows = "02_ddpo_aesthetic,pcpo,1,512,0.5,1,20,3\n02_ddpo_aesthetic,evaluation,,90,0.1,1,9,1"
    (results.root / "plan.csv").write_text(f"{columns}\n{rows}\n")
    experiment = load_experiment(2, "paper")
    steps = read_costs(results.root, [experiment], "cuda")
    pcpo, evaluation = read_plan(results.root, steps)
    assert (pcpo.gpu_hours, pcpo.measured_hours) == (
        0.5,
        pytest.approx(experiment.execution.gpus * 60 / 3600),
    )
    assert evaluation.measured_hours != evaluation.measured_hours
    (results.root / "plan.csv").write_text("experiment\n")
    with pytest.raises(ValueError, match=r"plan\.csv: the columns what"):
        read_plan(results.root, steps)


def test_no_plan(tmp_path):
    assert read_plan(tmp_path, []) == []
