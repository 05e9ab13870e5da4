import numpy as np
import pandas as pd
import pytest

from pcpo.claims import PROCEDURES, Evidence
from pcpo.claims.verdict import Assertion, decide
from pcpo.config import load_experiments

SEEDS = range(8)
TRUE = {"baseline": 100.0, "log_hinge": 38.0, "matching": 38.0, "pcpo": 20.0}  # epochs to reward 1


@pytest.fixture(scope="module")
def one():
    return load_experiments("paper")[:1]


def curves(one, length, true=TRUE):
    """Validation rewards that rise by a line, eight seeds of slightly unlike speed."""
    epochs = np.arange(0, length + 1, 2)
    return pd.concat(
        pd.DataFrame({"epoch": epochs, "reward_mean": epochs / time / (1 + 0.001 * seed)}).assign(
            experiment=one[0].name, arm=arm, seed=seed, images=8, reward_std=0.1
        )
        for arm, time in true.items()
        for seed in SEEDS
    )


def larger_step(one, length, than="log_hinge"):
    """With the level at reward 1, whatever the baseline's final reward is."""
    mean_final = length / 100 * np.mean([1 / (1 + 0.001 * seed) for seed in SEEDS])
    evidence = Evidence(one, {"validation": curves(one, length)})
    options = {"chain": (*TRUE,), "than": than, "fraction": 1 / mean_final}
    return PROCEDURES["larger_step"].function(evidence, 1, **options)


def test_a_step_that_is_cut_decides_nothing_about_the_larger_one(one):
    """The last step is 28 % smaller than the first. Runs of 40 epochs cut the first step alone."""
    truth = 100 * (38 / 20 / (100 / 38) - 1)
    whole = larger_step(one, 120)
    assert whole.value == pytest.approx(truth, abs=0.1)
    assert decide(whole, Assertion("higher")).word == "fails"
    cut = larger_step(one, 40)
    assert cut.low > 0  # the wrong sign
    assert decide(cut, Assertion("higher")).word == "undecided"
    assert cut.blocked.startswith("8 of 8 runs of baseline end below the level")
    # The step to matching has no cut run.
    other = larger_step(one, 40, than="matching")
    assert not other.blocked
    assert other.value == pytest.approx(90.0, abs=0.1)
