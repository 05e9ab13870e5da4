"""What the profiles ask of a scheduler, by dry runs: no cluster and no GPU is needed.

That the profiles work on a real Slurm is for tests/system/slurm.
"""

import re
from pathlib import Path

import pytest
import yaml

from pcpo.config import load_experiments
from pcpo.config.reward_guidance import guided
from tests.system.pipeline import copy_sources, snakemake

PROFILES = ("slurm", "cluster-generic")
GPU_RULES = {"train", "select", "generate_base", "generate", "evaluate", "align", "gradients"}
GPU_RULES |= {f"reward_guidance_{name}" for name in guided(load_experiments("paper"))}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """With gradients of two configurations."""
    folder = copy_sources(tmp_path_factory.mktemp("cluster"))
    for name in ("06_dancegrpo_flux_hps", "08_flowgrpo_ocr"):
        with (folder / "config" / "experiments" / f"{name}.yaml").open("a") as file:
            file.write("gradients: {}\n")
    return folder


def asked(folder, monkeypatch, *arguments):
    """(rule, experiment, arm) -> resources of each job that a dry run at paper scale plans."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # a login node
    code, output = snakemake(folder, "-n", *arguments, "--configfile", "config/paper.yaml")
    assert code == 0, output
    jobs = {}
    for block in re.split(r"^(?=(?:local)?rule \w+:$)", output, flags=re.M)[1:]:
        rule = re.match(r"(?:local)?rule (\w+):", block).group(1)
        fields = dict(re.findall(r"(\w+)=([^,\s]+)", block))
        numbers = dict(re.findall(r"(\w+)=(\d+)\b", block[block.index("resources:") :]))
        key = (rule, fields.get("experiment", fields.get("base")), fields.get("arm"))
        jobs[key] = {name: int(value) for name, value in numbers.items()}
    return jobs


@pytest.mark.parametrize("profile", PROFILES)
def test_every_job_states_what_it_needs_and_more_when_it_is_retried(copy, monkeypatch, profile):
    options = ("--profile", f"profiles/{profile}")
    first = asked(copy, monkeypatch, *options)
    again = asked(copy, monkeypatch, *options, "--attempt", "2")
    assert {rule for rule, *_ in first} >= GPU_RULES
    assert first.keys() == again.keys()
    gpus = {e.name: e.execution.gpus for e in load_experiments("paper")}
    for key, job in first.items():
        rule, experiment, _ = key
        assert job["mem_mb"] >= 500 and job["runtime"] > 0, key
        if rule in GPU_RULES:
            # As many as the training is configured for, however few this machine has.
            assert job["gpu"] == (gpus[experiment] if rule == "train" else 1), key
            assert job["cpus_per_task"] >= job["gpu"]
            assert again[key]["mem_mb"] > job["mem_mb"], key
            assert again[key]["runtime"] > job["runtime"], key
        else:
            assert job.get("gpu", 0) == 0, key


@pytest.mark.parametrize("options", ["--cores 4", "--cores all --jobs 2", "--jobs 2"])
def test_without_a_scheduler_a_job_asks_for_no_more_gpus_than_there_are(copy, monkeypatch, options):
    jobs = asked(copy, monkeypatch, *options.split())
    assert {job["gpu"] for (rule, *_), job in jobs.items() if rule in GPU_RULES} == {1}


def test_downloads_run_where_snakemake_does():
    text = Path("rules/downloads.smk").read_text()
    assert len(re.findall(r"^ *rule \w+:", text, re.M)) == text.count("localrule: True") == 3


@pytest.mark.parametrize("profile", PROFILES)
def test_retries_stand_in_the_profile_alone(profile):
    assert yaml.safe_load(Path(f"profiles/{profile}/config.yaml").read_text())["retries"] > 0
    for path in Path("rules").glob("*.smk"):
        assert set(re.findall(r"retries: *(\d+)", path.read_text())) <= {"0"}, path


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        (("--cores", "all", "--jobs", "8"), 2),
        (("--cores", "4", "--jobs", "8", "--resources", "gpu=1"), 1),
        (("--profile", "profiles/slurm", "--cores", "4"), None),
        (
            ("--executor", "cluster-generic", "--cluster-generic-submit-cmd", "true", "-j", "8"),
            None,
        ),
    ],
    ids=["local", "own limit", "profile", "executor"],
)
def test_one_machines_gpus_limit_its_own_jobs_alone(copy, monkeypatch, options, limit):
    """However many jobs it may run side by side; a cluster's are not counted where it is asked."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    line = "print('limit:', workflow.global_resources.get('gpu'))"
    snakefile = copy / "Limit"
    snakefile.write_text(f"{(copy / 'Snakefile').read_text()}\n{line}\n")
    arguments = ("-n", "--configfile", "config/paper.yaml", *options, "-s", "Limit", "preflight")
    code, output = snakemake(copy, *arguments)
    assert code == 0, output
    found = re.search(r"^limit: (.*)$", output, re.M).group(1)
    assert re.findall(r"\d+", found) == ([] if limit is None else [str(limit)])
