"""One rule for the levels at which arms are compared, and it does not import torch."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from pcpo.analysis.reward_levels import (
    LEVEL_FRACTIONS,
    matched_level,
    pair_level,
    reward_levels,
    why_none,
)
from pcpo.config import load_experiment
from pcpo.stats.speedup import first_crossing, trailing_mean
from tests.test_layers import TRAINER, reached, within


def evaluation(levels=(), fractions=(), matched=None):
    return SimpleNamespace(reward_levels=levels, level_fractions=fractions, matched_level=matched)


def rising(top, epochs=60, noise=0.0, seed=1):
    return 1 + np.linspace(0, top, epochs) + np.random.default_rng(seed).normal(0, noise, epochs)


def test_published_levels_need_no_runs():
    published = load_experiment(6, "paper").evaluation
    assert reward_levels(published, []) == (0.36, 0.35, 0.34, 0.33)
    assert matched_level(published, []) == 0.35  # Table 5's checkpoints, see the experiment
    assert matched_level(load_experiment(2, "paper").evaluation, []) == 6.90  # Table 1's level
    assert matched_level(evaluation((1.0, 2.0)), [rising(0.1)]) == 2.0


def test_derived_levels_are_shares_of_what_all_runs_gain():
    slow, fast = rising(1, noise=0.05), rising(3, noise=0.05, seed=2)
    levels = reward_levels(evaluation(fractions=(0.5, 1.0)), [slow, fast])
    start = max(slow[:5].mean(), fast[:5].mean())
    assert levels[0] == np.nanmax(trailing_mean(slow))
    assert levels[1] == pytest.approx((start + levels[0]) / 2)
    for level in levels:
        assert 5 < first_crossing(fast, level) <= first_crossing(slow, level)
    # One rule for a configuration that names neither levels nor shares.
    default = reward_levels(evaluation(), [slow, fast])
    shares = (np.array(default) - start) / (levels[0] - start)
    np.testing.assert_allclose(shares, LEVEL_FRACTIONS)
    # No level lies where one of the runs starts: neither is at all of them from the first.
    high = rising(1.5) + 1.5
    assert all(first_crossing(high, x) > 5 for x in reward_levels(evaluation(), [rising(2), high]))


@pytest.mark.parametrize(
    ("runs", "why"),
    [
        ([[2.0, 3.0], [1.0, 4.0]], "a run of 2 epochs is shorter than the trailing mean of 5"),
        ([np.arange(9.0), np.arange(9.0)[::-1]], "one never rises above the start"),
        ([np.arange(9.0), np.arange(9.0) + 50], "one never rises above the start"),
        ([], "no runs"),
    ],
)
def test_where_there_is_no_level_the_reason_is_given(runs, why):
    assert reward_levels(evaluation(), runs) == ()
    assert math.isnan(matched_level(evaluation(), runs))
    assert why in why_none(runs)
    assert why_none([np.arange(9.0), np.arange(9.0)]) == ""


def test_the_level_of_a_pair_takes_no_other_arm():
    pair = {"baseline": rising(1), "pcpo": rising(3)}
    level = pair_level(evaluation(), pair)
    assert level == matched_level(evaluation(), [*pair.values()])
    assert pair_level(evaluation(), pair | {"half_timesteps": rising(0.2)}) == level
    assert math.isnan(pair_level(evaluation(), {"pcpo": rising(3)}))
    assert pair_level(evaluation((2.0,)), {"pcpo": rising(3)}) == 2.0


def test_it_needs_no_torch():
    assert not within(
        reached("pcpo.analysis.reward_levels", "pcpo.analysis.phases"), {"torch", *TRAINER}
    )
