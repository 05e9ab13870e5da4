from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pcpo.stats.speedup import (
    common_levels,
    crossings,
    first_crossing,
    speedup_percent,
    trailing_mean,
)

PUBLISHED = Path(__file__).parents[2] / "config" / "paper"

# (reward, level) of the published rows that do not follow from their own epochs: the row should
# read -6.5, and -19.6 after rounding -19.64.
MISPRINTS = {("BERTScore (288/144)", 0.50): -6.5, ("BERTScore (288/144)", 0.49): -19.6}


def test_every_row_of_table_10_follows_from_its_epochs_but_two():
    table = pd.read_csv(PUBLISHED / "table10.csv")
    assert len(table) == 24
    differing = {}
    for row in table.itertuples():
        ours = round(speedup_percent(row.baseline_epochs, row.pcpo_epochs), 1)
        if ours != row.speedup_pct:
            differing[row.setting, row.reward_level] = ours
    assert differing == MISPRINTS


def test_every_row_of_table_1_follows_from_its_epochs():
    for row in pd.read_csv(PUBLISHED / "table1.csv").itertuples():
        ours = speedup_percent(row.baseline_epochs, row.pcpo_epochs)
        assert round(ours, 1) == row.speedup_pct


def test_trailing_mean_agrees_with_pandas_rolling():
    rewards = np.random.default_rng(0).normal(size=40)
    for window in (1, 5, 60):
        expected = pd.Series(rewards).rolling(window, min_periods=1).mean()
        np.testing.assert_allclose(trailing_mean(rewards, window), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("rewards", "level", "window", "epoch"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8, 9], 5.0, 5, 7),  # the mean lags a straight line by two epochs
        ([1, 2, 3, 4, 5], 4.0, 1, 4),
        ([6.9] * 7, 6.9, 5, 1),  # reached at once, and equality counts
        ([1, 2, 3, 3, 3, 3, 3, 3], 3.5, 5, None),  # a plateau below the level
        ([0, 9, 0, 0, 0, 9, 9, 9, 9, 9], 5.0, 5, 8),  # one lucky epoch is not a crossing
        ([0, 9, 0, 0], 4.5, 2, 2),
    ],
)
def test_first_crossing(rewards, level, window, epoch):
    assert first_crossing(rewards, level, window) == epoch


def test_nan_rewards_are_refused_and_located():
    with pytest.raises(ValueError, match="first in epoch 3"):
        first_crossing([1.0, 2.0, np.nan], 1.0)
    with pytest.raises(ValueError, match="one value per epoch"):
        trailing_mean([])
    with pytest.raises(ValueError, match="must be >= 1"):
        speedup_percent(100, 0)


def test_common_levels_are_reached_by_both_runs():
    rng = np.random.default_rng(1)
    slow = 1 + np.linspace(0, 1, 60) + rng.normal(0, 0.05, 60)
    fast = 1 + np.linspace(0, 3, 60) + rng.normal(0, 0.05, 60)
    levels = common_levels(slow, fast, fractions=(1.0, 0.5))
    start = max(slow[0], fast[0])
    assert levels[0] == trailing_mean(slow).max()
    assert levels[1] == pytest.approx((start + levels[0]) / 2)
    for level in levels:
        assert first_crossing(fast, level) <= first_crossing(slow, level)
    assert common_levels([2, 1, 0], [2, 3, 4]) == ()  # a run that only falls
    # No level lies where one of the runs starts: neither is at all of them from the first epoch.
    low, high = np.linspace(0, 2, 30), np.linspace(1.5, 3, 30)
    assert all(first_crossing(high, level) > 1 for level in common_levels(low, high))
    assert common_levels(np.linspace(0, 1, 30), high) == ()


def test_crossings_of_many_curves_are_those_of_each():
    curves = np.cumsum(np.random.default_rng(2).normal(0.1, 1, size=(50, 30)), axis=1)
    expected = [first_crossing(curve, 2.0) or np.inf for curve in curves]
    np.testing.assert_array_equal(crossings(curves, 2.0), expected)
    assert crossings(np.full((1, 7), 6.9), 6.9)[0] == 1
