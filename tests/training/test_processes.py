"""Two processes (gloo) give what one gives: noise, rewards, losses, weights, validation."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from pcpo.config.files import CONFIG
from pcpo.training import loop
from pcpo.training.processes import Processes
from tests.small import newest_state
from tests.training.train_in_processes import PLACES, chosen, run

TWO = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def launch(*arguments):
    """The same in two processes, as rules/train.smk launches them.

    Also: a rollout whose rewards are the places of its prompts.
    """
    done = subprocess.run(
        [*TWO, "--module", "tests.training.train_in_processes", *map(str, arguments)],
        cwd=CONFIG.parent, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    # Not two runs of one process each, and each image has the reward of its prompt.
    assert done.stdout == f"processes: 2, places: {PLACES}\n"


def updates(folder):
    return pd.read_parquet(folder / "updates.parquet")


def validations(folder):
    return pd.read_parquet(folder / "validation.parquet")


def state(folder):
    return load_file(newest_state(folder) / "state.safetensors")


@pytest.mark.parametrize(
    ("number", "sharding"), [(9, "none"), (1, "none"), (10, "fsdp")], ids=["kl+ema", "ddpo", "fsdp"]
)
def test_two_processes_give_the_losses_of_one(models, tmp_path, number, sharding):
    source = models[chosen(number).model].path
    run(number, tmp_path / "one", 2, "none", source)
    launch(number, tmp_path / "two", 2, sharding, source)
    one, two = updates(tmp_path / "one"), updates(tmp_path / "two")
    assert one["reward_mean"].nunique() > 1
    # The first epoch's images depend on nothing that is summed in another order.
    first = one["epoch"] == 1
    pd.testing.assert_series_equal(
        one[first]["reward_mean"], two[first]["reward_mean"], check_exact=True
    )
    for column in ("loss", "reward_mean", "clip_fraction", "grad_norm", "kl"):
        pd.testing.assert_series_equal(one[column], two[column], rtol=1e-3, atol=1e-7)
    # Of three prompts one process has two and the other one has one.
    validation = validations(tmp_path / "two")
    assert validation["images"].tolist() == [3, 3]
    pd.testing.assert_frame_equal(validations(tmp_path / "one"), validation, rtol=1e-3)
    same_but_for_rounding(
        state(tmp_path / "one"), state(tmp_path / "two"), chosen(number).optimizer, len(one)
    )


def same_but_for_rounding(before, after, adam, updates):
    """Gradients agree to 2e-4 of a tensor's largest one, and weights as Adam makes of that.

    The rounding of the first update is about 1e-7 of it, and each later update amplifies it. Adam
    divides a gradient by its own size, so that the bound of a weight is its own. A few weights had
    a gradient near 0 in some update, and move by a share of a step.
    """
    assert before.keys() == after.keys()
    beta1, beta2 = adam.betas
    for name in (key.removeprefix("weight.") for key in before if key.startswith("weight.")):
        mean, square = (f"optimizer.{moment}.{name}" for moment in ("exp_avg", "exp_avg_sq"))
        rounding = 2e-4 * before[mean].abs().max() / (1 - beta1**updates)
        assert (after[mean] - before[mean]).abs().max() <= rounding
        size = (before[square] / (1 - beta2**updates)).sqrt() + adam.epsilon
        step = adam.learning_rate * (rounding / size).clamp(max=2)
        bound = updates * step + 1e-6 * before[f"weight.{name}"].abs().max()
        for key in (f"weight.{name}", f"ema.{name}"):
            if key in before:
                moved = (after[key] - before[key]).abs()
                assert (moved <= bound).double().mean() > 0.95, key
                assert moved.max() <= updates * adam.learning_rate / 10, key


def test_a_sharded_run_resumes_in_a_single_process(models, tmp_path):
    source = models["flux"].path
    launch(6, tmp_path / "two", 1, "fsdp", source)
    run(6, tmp_path / "two", 2, "none", source)
    run(6, tmp_path / "one", 2, "none", source)
    assert len(updates(tmp_path / "two")) == len(updates(tmp_path / "one"))
    for name, value in state(tmp_path / "one").items():
        torch.testing.assert_close(state(tmp_path / "two")[name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("checkpointing", ["", "checkpointing"])
def test_sharding_in_half_precision_is_that_of_the_whole_model(models, tmp_path, checkpointing):
    """As at the paper's scale: configuration 10 with activation checkpointing."""
    source = models["flux"].path
    run(10, tmp_path / "one", 1, "none", source, "bf16")
    launch(10, tmp_path / "two", 1, "fsdp", source, "bf16", checkpointing)
    one, two = updates(tmp_path / "one"), updates(tmp_path / "two")
    assert two["log_ratio_std"][0] == two["log_ratio_mean"][0] == 0
    assert list(two["reward_mean"]) == list(one["reward_mean"])  # of the same forwards
    for column in ("loss", "grad_norm"):  # gradients are of bf16 weights, and reduced in fp32
        assert two[column].to_numpy() == pytest.approx(one[column].to_numpy(), rel=0.05)
    dtypes = {value.dtype for name, value in state(tmp_path / "two").items() if "weight." in name}
    assert dtypes == {torch.float32}


MEETING = """
import sys, time
from datetime import timedelta
from pcpo.training import processes as distributed
distributed.TIMEOUT = timedelta(seconds=2)
processes = distributed.Processes.start("cpu")
meet = processes.meeting()
if processes.is_main:
    time.sleep(5)
meet()
processes.leave()
"""


def test_processes_wait_beyond_the_groups_time_limit_for_a_run_of_another_job(tmp_path):
    (tmp_path / "meeting.py").write_text(MEETING)
    done = subprocess.run(
        [*TWO, str(tmp_path / "meeting.py")], cwd=CONFIG.parent, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(CONFIG.parent)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


WAITING = """
import os, signal, sys, time
from pathlib import Path
from torch import distributed
from pcpo.training.processes import Processes
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the tests were started with
processes = Processes.start("cpu")
if processes.is_main:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
Path(sys.argv[1], f"pid{processes.rank}").write_text(str(os.getpid()))
if processes.is_main:
    time.sleep(600)
distributed.barrier()
"""


def test_ctrl_c_ends_a_process_that_waits_for_another_one(tmp_path):
    """The other one goes on: its end would end the wait with an error."""
    (tmp_path / "waiting.py").write_text(WAITING)
    job = subprocess.Popen(
        [*TWO, str(tmp_path / "waiting.py"), str(tmp_path)], start_new_session=True,
        cwd=CONFIG.parent, env=os.environ | {"PYTHONPATH": str(CONFIG.parent)},
    )  # fmt: skip

    def until(true, seconds):
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline and job.poll() is None
            time.sleep(0.1)

    try:
        pids = [tmp_path / f"pid{rank}" for rank in (0, 1)]
        until(lambda: all(pid.exists() and pid.read_text() for pid in pids), 120)
        time.sleep(1)  # until it waits in the barrier
        waiting = Path("/proc", pids[1].read_text(), "cmdline")  # empty of one that has ended
        os.kill(int(pids[1].read_text()), signal.SIGINT)
        until(lambda: not (waiting.exists() and waiting.read_bytes()), 10)
    finally:
        os.killpg(job.pid, signal.SIGKILL)
        job.wait()


def test_prompts_are_encoded_once_where_they_are_shared_and_by_each_process_where_not(tmp_path):
    for folder, expected in ((tmp_path, ["b"]), (None, ["", "a", "b", "c"])):
        encoded = []
        policy = SimpleNamespace(
            embeddings=SimpleNamespace(folder=folder), prepare=encoded.extend, release=list
        )
        processes = SimpleNamespace(rank=2, size=4, barrier=list)
        prompts = ["a", "b", "c"]
        loop._encode_prompts(
            SimpleNamespace(policy=policy, processes=processes, prompts=prompts), {0, 1, 2}
        )
        assert encoded == expected


def test_micro_batches_that_do_not_divide_are_refused():
    assert list(Processes(rank=1, size=2).share(6)) == [3, 4, 5]
    with pytest.raises(ValueError, match=r"5 micro-batches .* 2 processes; change execution.gpus"):
        Processes(rank=0, size=2).share(5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_device_is_named():
    with pytest.raises(ValueError, match="no CUDA device is visible"):
        Processes.start("cuda")
