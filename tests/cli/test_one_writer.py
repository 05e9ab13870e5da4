"""A driver that was killed may have left a job at work: the next one of the same file waits."""

import subprocess
import sys
import threading

import pytest

from pcpo.cli.stages import lock_of
from pcpo.config.files import CONFIG
from pcpo.records.lock import alone, beside

WRITERS = {
    "select": ["01", "--out", "made.csv"],
    "align": ["01", "--out", "made.csv"],
    "evaluate": ["01", "--overall", "made.csv"],
    "synthetic": ["prompts", "--sizes", "config/scale/smoke.yaml", "--out", "{folder}"],
    "synthetic_rewards": ["table", "--sizes", "config/scale/smoke.yaml", "--out", "{folder}"],
}


@pytest.mark.parametrize("name", WRITERS)
def test_one_process_makes_a_file_and_another_waits(name, tmp_path):
    words = [word.format(folder=tmp_path / "synthetic") for word in WRITERS[name]]
    words = [str(tmp_path / word) if word == "made.csv" else word for word in words]
    if name.startswith("synthetic"):
        lock = lock_of(tmp_path / "synthetic", words[0])
    else:
        lock = beside(tmp_path / "made.csv")
    with alone(lock):
        job = subprocess.Popen(
            [sys.executable, "-u", "-m", f"pcpo.cli.{name}", *words], cwd=CONFIG.parent,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
        )  # fmt: skip
        give_up = threading.Timer(120, job.kill)
        give_up.start()
        first = job.stdout.readline()
        give_up.cancel()
        assert "waiting for its end" in first and job.poll() is None, first
    rest, _ = job.communicate(timeout=120)
    if name == "synthetic":
        assert job.returncode == 0 and (tmp_path / "synthetic" / "prompts").is_dir(), rest
    else:  # it continued, and found that arguments are missing
        assert job.returncode in (1, 2) and "error: " in rest
