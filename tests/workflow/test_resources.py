"""What jobs ask for, at a scale of small models and at a real one."""

import pytest

from pcpo.config import load_experiment, load_scale
from pcpo.workflow import resources

SMOKE, PAPER = load_scale("smoke"), load_scale("paper")
HPS = load_experiment("05_dancegrpo_sd14_hps", "paper")


def test_without_cuda_nothing_asks_for_a_gpu():
    assert resources.gpus(SMOKE, None, None, None) == 0
    assert resources.gpus(SMOKE, load_experiment(5, "smoke"), 4, None) == 0


@pytest.mark.parametrize(
    ("limit", "here", "asked"),
    [
        (None, None, 8),  # a scheduler knows its own
        (3, None, 2),  # one that divides the micro-batches
        (None, 4, 4),
        (1, 4, 1),
        (0, 1, 1),
    ],
)
def test_a_training_shares_as_many_gpus_as_divide_its_batches(limit, here, asked):
    assert HPS.execution.gpus == 8
    assert resources.gpus(PAPER, HPS, limit, here) == asked
    assert resources.gpus(PAPER, None, limit, here) == 1


def test_memory_and_time_grow_with_the_attempts():
    of_base = 1000 * resources.HOST_GIGABYTES["sd14"]
    assert resources.memory(PAPER, 2000, HPS, 1) == of_base
    assert resources.memory(PAPER, 2000, HPS, 1, training=True) == 8 * of_base
    assert resources.memory(PAPER, 2000, HPS, 2) == 3 * of_base // 2
    assert resources.memory(SMOKE, 2000, None, 1) == 2000
    assert resources.minutes(PAPER, 48, 1) == 48 * 60
    assert resources.minutes(SMOKE, 48, 2) == 120
    assert resources.cores(0) == 1 and resources.cores(2) == 2 * resources.CORES_PER_GPU
