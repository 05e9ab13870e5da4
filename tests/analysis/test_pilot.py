import numpy as np
import pandas as pd
import pytest

from pcpo.analysis.pilot import of_validation
from pcpo.claims.evidence import Evidence
from pcpo.claims.outcomes import epochs_to_level, validation_area
from tests import fabricated

EPOCHS = np.arange(0, 21, 5)
# Rewards above the base model's after each epoch, by arm and seed.
SLOPES = {"baseline": (0.04, 0.05, 0.06), "pcpo": (0.05, 0.08, 0.09, 0.5)}


def rows(arm, seed, slope):
    rewards = 1 + np.minimum(slope * EPOCHS, 1.0)
    return pd.DataFrame({"epoch": EPOCHS, "reward_mean": rewards}).assign(
        experiment=fabricated.name(2), arm=arm, seed=seed, images=4, reward_std=0.1
    )


def test_a_pilot_has_the_differences_that_the_claims_judge():
    """A seed that one arm lacks moves neither the pairs nor the level, here or there."""
    frame = pd.concat(
        rows(arm, seed, slope) for arm, of in SLOPES.items() for seed, slope in enumerate(of)
    )
    evidence = Evidence(fabricated.experiments((2,)), {"validation": frame})
    found = of_validation(frame, "pcpo")
    (logs,), (areas,) = found["speedup"], found["area"]
    assert len(logs) == len(areas) == 3
    speedup = epochs_to_level(evidence, 2)
    assert 100 * np.expm1(logs.mean()) == pytest.approx(speedup.value)
    assert speedup.value > 20
    assert areas.mean() == pytest.approx(validation_area(evidence, 2).value)
    shared = of_validation(frame[frame["seed"] < 3], "pcpo")["speedup"][0]
    np.testing.assert_array_equal(shared, logs)
