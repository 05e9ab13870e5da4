from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pcpo.stats.speedup import (
    crossings,
    first_crossing,
    interpolated_crossing,
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
        expected = pd.Series(rewards).rolling(window).mean()  # NaN below a full window
        np.testing.assert_allclose(trailing_mean(rewards, window), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("rewards", "level", "window", "epoch"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8, 9], 5.0, 5, 7),  # the mean lags a straight line by two epochs
        ([1, 2, 3, 4, 5], 4.0, 1, 4),
        ([6.9] * 7, 6.9, 5, 5),  # at the first full window, and equality counts
        ([9, 9, 9, 9], 6.9, 5, None),  # shorter than the window
        ([9, 9, 0, 0, 0, 9, 9], 4.0, 5, None),  # two high epochs at the start are no crossing
        ([1, 2, 3, 3, 3, 3, 3, 3], 3.5, 5, None),  # a plateau below the level
        ([0, 9, 0, 0, 0, 9, 9, 9, 9, 9], 5.0, 5, 8),  # one high epoch is not a crossing
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


@pytest.mark.parametrize(
    ("rewards", "level", "window", "crossing"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8, 9], 5.25, 5, 7.25),  # the mean is e - 2 at epoch e
        ([1, 2, 3, 4, 5, 6, 7, 8, 9], 3.0, 5, 5.0),  # nothing is known before epoch 5
        ([1, 2, 3, 4, 5, 6, 7, 8, 9], 1.0, 5, 5.0),
        ([0, 9, 0, 0, 0, 9, 9, 9, 9, 9], 5.0, 5, 7 + 1.4 / 1.8),  # 3.6 and 5.4 at 7 and 8
        ([9, 9, 9, 9], 6.9, 5, None),
        ([1, 2, 3, 3, 3, 3, 3, 3], 3.5, 5, None),
        ([1, 2, 3, 4, 5, 6], float("nan"), 5, None),  # no level
    ],
)
def test_crossings_between_epochs(rewards, level, window, crossing):
    found = interpolated_crossing(rewards, level, window)
    assert found == (crossing if crossing is None else pytest.approx(crossing))


def test_crossings_of_many_curves_are_those_of_each():
    """The vectorised form, the scalar one and whole epochs agree on random walks."""
    curves = np.cumsum(np.random.default_rng(2).normal(0.1, 1, size=(200, 30)), axis=1)
    for level in (-1.0, 0.5, 2.0):
        found = crossings(curves, level)
        each = [interpolated_crossing(curve, level) for curve in curves]
        np.testing.assert_allclose(found, [np.inf if e is None else e for e in each], atol=1e-9)
        whole = [first_crossing(curve, level) for curve in curves]
        assert [e if e is None else int(np.ceil(e)) for e in each] == whole
        assert {None, 5} < set(whole)  # both ends of the range are met
    assert crossings(np.full((1, 7), 6.9), 6.9)[0] == 5
    assert crossings(np.full((3, 4), 9.0), 6.9).tolist() == [np.inf] * 3
