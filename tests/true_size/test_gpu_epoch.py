"""What of `make test-gpu-epoch` is tested without a GPU."""

import math

import pytest

from pcpo.config import load_arm, load_experiment
from pcpo.cost.memory import peak_gigabytes
from pcpo.cost.plan import training_tflop
from tests.true_size.gpu_epoch import SCALE, assets_of, line
from tests.true_size.place import Place


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path, "small", 1, math.inf, SCALE)


def test_the_folders_are_those_that_the_trainings_load(place):
    found = {number: assets_of(place, e) for number, e in place.experiments.items()}
    assert found == {1: ["models/sd15", "rewards/aesthetic"], 8: ["models/sd35m"]}


def test_batch_sampler_and_precision_are_the_published_ones():
    for number in (1, 8):
        ours, paper = load_experiment(number, SCALE), load_experiment(number, "paper")
        assert (ours.sampler, ours.precision, ours.lora) == (
            paper.sampler, paper.precision, paper.lora,
        )  # fmt: skip
        assert ours.batch.micro_batch == paper.batch.micro_batch
        assert ours.gradient_updates == paper.gradient_updates
    assert load_experiment(8, SCALE).batch == load_experiment(8, "paper").batch


def test_the_row_has_the_share_of_the_last_update_and_the_planned_memory():
    experiment = load_experiment(8, SCALE)
    # 64 images in two updates: 32 are trained in the last one, here at half of 700 TFLOP/s.
    last = 32 * training_tflop(experiment, load_arm("pcpo")) / 350
    facts = {"whole": 200.0, "seconds": [90.0, last], "allocated": 17e9, "reserved": 18.5e9}
    cells = [cell.strip() for cell in line(experiment, facts, 700.0).strip("|").split("|")]
    assert cells[:4] == ["08_flowgrpo_ocr", "64", "8", "200"]
    assert cells[5:7] == [f"{last:.1f}", "50.0%"]
    assert float(cells[7]) == pytest.approx(peak_gigabytes(experiment) - 1, abs=0.05)
    assert cells[8:] == ["17.0", "18.5"]
