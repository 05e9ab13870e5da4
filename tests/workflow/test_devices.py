import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from pcpo.cli.launch import command
from pcpo.workflow import devices


@pytest.fixture(autouse=True)
def four_devices(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4, 5,6,7")


def hold(folder, count, ready, done):
    with devices.claim(count, folder=folder) as own:
        ready.put(own)
        done.wait()


def test_two_jobs_never_share_a_device(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, done = context.Queue(), context.Event()
    other = context.Process(target=hold, args=(tmp_path, 3, ready, done))
    other.start()
    try:
        assert ready.get(timeout=60) == ["4", "5", "6"]
        with devices.claim(1, folder=tmp_path) as own:
            assert own == ["7"]
        with (
            pytest.raises(BlockingIOError, match="2 CUDA devices are asked for and 1 of 4 are fre"),
            devices.claim(2, wait=0, folder=tmp_path),
        ):
            pass
        other.kill()  # a killed job's devices are free again
        with devices.claim(4, folder=tmp_path) as own:
            assert own == ["4", "5", "6", "7"]
    finally:
        other.kill()
        other.join()


def test_a_schedulers_jobs_have_devices_of_their_own(tmp_path, monkeypatch):
    """Confined to its device, each sees it as number 0; the runs within one share it out."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("SLURM_JOB_ID", "71")
    with devices.claim(1, folder=tmp_path) as own:
        assert own == ["0"]
        with pytest.raises(BlockingIOError), devices.claim(1, wait=0, folder=tmp_path):
            pass
        monkeypatch.setenv("SLURM_JOB_ID", "72")
        with devices.claim(1, folder=tmp_path) as other:
            assert other == ["0"]
        monkeypatch.delenv("SLURM_JOB_ID")
        with devices.claim(1, folder=tmp_path):
            pass


def test_slices_of_a_gpu_are_not_counted_as_gpus(tmp_path, monkeypatch):
    listed = "GPU 0: H100 (UUID: GPU-1)\n  MIG 1g.10gb Device 0: (UUID: MIG-2)"
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\necho '{listed}'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert devices.visible() == ["0"]


def test_a_slice_of_a_gpu_is_for_one_process_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-a,GPU-b,GPU-c,MIG-d")
    with devices.claim(1, folder=tmp_path) as own:
        assert own == ["MIG-a"]
    with devices.claim(2, folder=tmp_path) as own:
        assert own == ["GPU-b", "GPU-c"]
    with (
        pytest.raises(ValueError, match=r"3 .* 2 are visible \(GPU-b, GPU-c\).*a slice of a GPU"),
        devices.claim(3, folder=tmp_path),
    ):
        pass


def test_more_devices_than_there_are(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with (
        pytest.raises(ValueError, match=r"1 CUDA devices are asked for and 0 are visible \(none\)"),
        devices.claim(1, folder=tmp_path),
    ):
        pass


def test_one_process_a_gpu():
    assert command(1, "pcpo.cli.train", ["01"])[1:] == ["-m", "pcpo.cli.train", "01"]
    several = command(3, "pcpo.cli.train", ["01"])
    assert several[several.index("--nproc-per-node") + 1] == "3"
    assert several[-3:] == ["--module", "pcpo.cli.train", "01"]


SLEEPER = """
import os, signal, sys, time
def stop(*_):
    print("saved", flush=True); sys.exit(7)
signal.signal(signal.SIGTERM, stop)
print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
time.sleep(60)
"""


def test_the_command_sees_its_devices_and_gets_the_warning(tmp_path):
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    environment = os.environ | {
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.getcwd()]),
    }
    job = subprocess.Popen(
        [sys.executable, "-m", "pcpo.cli.launch", "--gpus", "1", "sleeper"],
        env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert job.stdout.readline() == "4\n"
    time.sleep(0.1)
    job.send_signal(signal.SIGTERM)
    assert job.stdout.readline() == "saved\n"
    assert job.wait(timeout=30) == 7


@pytest.mark.parametrize(
    ("mask", "devices_seen"),
    [
        ("-1", []), ("NoDevFiles", []), ("none", []), ("", []), ("0,-1,1", ["0"]),
        ("2,1", ["2", "1"]),
        ("GPU-8932f937-d72c-4106-c12f-20bd9faed9f6", ["GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"]),
        ("MIG-GPU-8932f937/1/2", ["MIG-GPU-8932f937/1/2"]),
    ],
)  # fmt: skip
def test_a_mask_of_no_devices_is_no_device(mask, devices_seen, monkeypatch):
    """As CUDA reads it: the list ends at the first entry that names none."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", mask)
    assert devices.visible() == devices_seen


def test_all_users_share_out_devices_in_one_place(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-of-a-test")
    lock = devices.FOLDER / "pcpo_device_GPU-of-a-test.lock"
    try:
        with devices.claim(1):
            assert stat.S_IMODE(lock.stat().st_mode) == 0o666
            monkeypatch.setenv("TMPDIR", "/var/tmp")
            with pytest.raises(BlockingIOError), devices.claim(1, wait=0):
                pass
    finally:
        lock.unlink()
