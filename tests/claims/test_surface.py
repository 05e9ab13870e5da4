"""The speed-up over the grid as a claim, against planted surfaces."""

import numpy as np
import pytest

import pcpo.claims.claim  # noqa: F401 - it registers the procedures
from pcpo.claims.estimate import PROCEDURES
from pcpo.claims.evidence import Evidence, NotRun
from pcpo.claims.verdict import Assertion, decide
from pcpo.config.grid import coded_levels
from tests import fabricated

CELLS = coded_levels()
NUMBERS = range(101, 118)
FACTORS = [*next(iter(CELLS.values()))]


def found(number, given, **options):
    evidence = Evidence(fabricated.experiments(NUMBERS), {"validation": given})
    return PROCEDURES["surface_speedup"].function(evidence, number, **options)


@pytest.fixture(scope="module")
def validation():
    """exp(0.3 - 0.2 batch) times as fast, and a little noise that is of no seed."""

    def log_speedup(levels, seed):
        own = 0.01 * (1 if seed else -1) * levels["guidance"]
        return 0.3 - 0.2 * levels["batch_size"] + own

    return fabricated.grid_validation(log_speedup)


def test_the_speed_up_at_a_cell_and_at_a_level_of_one_factor(validation):
    names = {number: fabricated.name(number) for number in NUMBERS}
    high = next(n for n in NUMBERS if CELLS[names[n]]["batch_size"] == 1)
    at_cell = found(high, validation)
    assert at_cell.value == pytest.approx(100 * (np.exp(0.1) - 1))
    assert (at_cell.runs, at_cell.n, at_cell.df) == (2, "34 pairs of runs, 2 seeds", 17)
    assert decide(at_cell, Assertion("higher")).word == "holds"
    assert at_cell.why == "lack of fit p = 1"
    low = found(101, validation, factor="batch_size", level="low")
    assert low.value == pytest.approx(100 * (np.exp(0.5) - 1))
    assert found(101, validation).value == pytest.approx(100 * (np.exp(0.3) - 1))


def test_what_cannot_be_said_is_said(validation):
    with pytest.raises(ValueError, match="factor: 'colour' is none of batch_size"):
        found(101, validation, factor="colour")
    flat = validation["experiment"] == fabricated.name(105)
    none = validation.assign(reward_mean=validation["reward_mean"].mask(flat, 1.0))
    with pytest.raises(NotRun, match="an arm does not gain in 105_grid.*: no level"):
        found(101, none)
    few = validation[validation["experiment"] != fabricated.name(102)]
    with pytest.raises(NotRun, match="no training seed of both arms in 102_grid"):
        found(101, few)
    with pytest.raises(NotRun, match="no cell of the grid has a training seed of both arms"):
        found(101, validation[validation["arm"] == "pcpo"])
