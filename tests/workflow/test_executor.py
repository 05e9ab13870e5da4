"""What Snakemake's own process does while jobs run on this machine."""

import os
import subprocess
import sys

from pcpo.config.files import CONFIG

SNAKEFILE = """
from pcpo.workflow.executor import without_job_limit

COUNT = dict(asked=0)


onstart:
    scheduler = workflow.scheduler
    {lift}
    select = scheduler.job_selector

    def counted(jobs):
        COUNT["asked"] += 1
        return select(jobs)

    scheduler.job_selector = counted


onsuccess:
    print("asked", COUNT["asked"])


rule all:
    input:
        [f"short{{i}}" for i in range(12)], "long", "waiting"


rule short:
    output: "short{{i,[0-9]+}}"
    priority: 2
    shell: "touch {{output}}"


rule long:
    output: "long"
    priority: 1
    shell: "sleep 5; touch {{output}}"


rule waiting:
    output: "waiting"
    threads: 2
    shell: "touch {{output}}"
"""


def asked(folder, lift):
    (folder / "Snakefile").write_text(SNAKEFILE.format(lift=lift))
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", "--quiet", "rules"],
        cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(CONFIG.parent)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return int(done.stdout.split()[-1])


def test_waiting_jobs_are_looked_for_when_a_job_ends_and_not_all_the_time(tmp_path):
    assert asked(tmp_path, "without_job_limit(scheduler)") <= 15


def test_under_its_limit_snakemake_looks_far_more_often(tmp_path):
    """If this fails, Snakemake has mended it: `without_job_limit` can go."""
    assert asked(tmp_path, "pass") > 30
