"""A disk without room: each command ends in one sentence, and its log does not hide it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_report_commands import files  # noqa: F401

REPOSITORY = Path(__file__).parents[2]
READ = {"table3": ("per_prompt", "selection"), "training_curves": ("updates",)}


def commands(given):
    def frames(name):
        return [f"--{f.replace('_', '-')}={given[f]}" for f in READ[name]]

    return {
        "table": ["table", "table3", "--scale", "demo", *frames("table3")],
        "figure": ["figure", "training_curves", "--scale", "demo", *frames("training_curves")],
        "readings": ["readings"],
        "plan": ["plan", "01", "--scale", "pilot"],
        "synthetic": ["synthetic", "prompts", "--sizes", "config/scale/smoke.yaml"],
    }


@pytest.mark.parametrize("name", ["table", "figure", "readings", "plan", "synthetic"])
def test_a_command_on_a_full_disk_ends_in_one_sentence(name, files, tmp_path, mounted):  # noqa: F811
    disk = mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=64k", "tmpfs")
    log = disk / "logs" / "rule" / "job.log"
    log.parent.mkdir(parents=True)
    room = os.statvfs(disk)
    (disk / "filler").write_bytes(bytes(room.f_bavail * room.f_frsize))
    before = {path for path in disk.rglob("*") if path.is_file()}
    command = [*commands(files)[name], "--out", str(disk / "made.parquet")]
    command += ["--log", str(log)] if name != "plan" else []
    run = subprocess.run(
        [sys.executable, "-m", f"pcpo.cli.{command[0]}", *command[1:]],
        capture_output=True, cwd=REPOSITORY, encoding="utf-8",
    )  # fmt: skip
    last = run.stderr.strip().splitlines()[-1]
    assert run.returncode == 1, run.stderr
    assert last.startswith(f"error: {disk}") and f"MB are free in {disk}" in last, run.stderr
    assert "Traceback" not in run.stderr
    made = {path for path in disk.rglob("*") if path.is_file()} - before - {log}
    assert not [path for path in made if path.stat().st_size or path.suffix == ".part"]
