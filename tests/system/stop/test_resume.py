"""A training killed by SIGKILL, at any step of its work, equals one that was not, bit for bit."""

import hashlib
import random

import pandas as pd
import pytest

from pcpo.config import Validation, load_arm
from pcpo.training.loop import train
from pcpo.training.run import Run
from pcpo.training.run_folder import RunFolder
from tests.small import PROMPTS, brightness, experiment, policy
from tests.system.stop.crash import killed_at, touched
from tests.system.stop.sameness import assert_goes_on_from_what_was_saved

HELD_OUT = [*PROMPTS, "a green star"]
ALGORITHMS = {"ddpo": 2, "dancegrpo": 5, "flow_grpo": 9}


def training(models, number, path):
    """A run of three epochs: statistics of each prompt, a KL term and an average among them."""
    chosen = experiment(
        number, epochs=3, checkpoint_every=1,
        validation=Validation(prompts="pick_eval", count=2, every=1, sampler="native", steps=3),
    )  # fmt: skip

    def work():
        folder = RunFolder(path, "the same")
        with folder.lock():
            fresh = policy(models, chosen, train=True)
            run = Run(chosen, load_arm("pcpo"), 0, fresh, brightness, PROMPTS, HELD_OUT)
            train(run, folder, log=lambda message: None)

    return work


def left(path):
    """Relative path -> digest of what a run leaves; the seconds that updates took are left out."""
    found = {}
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        data = file.read_bytes()
        if file.name == "updates.parquet":
            data = pd.read_parquet(file).drop(columns="seconds").to_csv().encode()
        found[str(file.relative_to(path))] = hashlib.sha256(data).hexdigest()
    # The lock names its last holder, and a state's sums cover the seconds.
    sums = [name for name in found if name.startswith("resume/") and name.endswith("SHA256SUMS")]
    for name in ("lock", "history.jsonl", *sums):
        del found[name]
    return found


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_killed_wherever_it_touches_a_file_it_ends_as_if_it_were_not(models, tmp_path, algorithm):
    """Three kills a run, spread over all that a run does to its folder; nine runs in all."""
    number = ALGORITHMS[algorithm]
    assert experiment(number).algorithm == algorithm
    whole = tmp_path / "whole"
    steps = len(touched(training(models, number, whole), whole))
    expected = left(whole)
    assert steps > 100
    assert "checkpoints/epoch_00002/checkpoint.json" in expected
    draw = random.Random(number)
    for attempt in range(3):
        path = tmp_path / f"killed_{attempt}"
        work, kills = training(models, number, path), []
        for third in range(3):  # a resumed run does the less, the farther it was
            kills.append(killed_at(int(steps * draw.uniform(third, third + 1) / 3), work, path))
        assert kills[0]
        assert killed_at(0, work, path) == ""
        assert left(path) == expected, kills
        assert_goes_on_from_what_was_saved(path)
