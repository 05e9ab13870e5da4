import numpy as np
import pandas as pd
import pytest

from pcpo.analysis.outcomes import (
    area,
    areas,
    derived_level,
    epochs_to,
    shared_end,
    shared_ends,
    shared_level,
    times_to,
    up_to,
    validation_curve,
)

LINE = np.array([[0, 1.0], [10, 2.0], [20, 3.0]])  # 0.1 an epoch
BENT = np.array([[0, 1.0], [4, 3.0], [8, 2.0], [20, 2.0]])


def test_a_curve_is_a_runs_rows_and_starts_at_the_base_model():
    rows = pd.DataFrame({"epoch": [20, 0, 10], "reward_mean": [3.0, 1.0, 2.0]})
    rows = rows.assign(experiment="e", arm="pcpo", seed=0)
    np.testing.assert_array_equal(validation_curve(rows), LINE)
    with pytest.raises(ValueError, match=r"epochs \[10.0, 20.0\] need epoch 0"):
        validation_curve(rows[rows["epoch"] > 0])


def test_area_is_the_mean_gain_over_training():
    assert area(LINE) == pytest.approx(1.0)
    assert area(BENT) == pytest.approx((4 + 6 + 12) / 20)  # of a triangle, a trapezium, a rectangle
    assert area(up_to(LINE, 15)) == pytest.approx(0.75)
    assert shared_end([LINE, up_to(LINE, 15)]) == 15


def test_epochs_to_a_level_are_between_validations():
    assert epochs_to(LINE, 2.25) == pytest.approx(12.5)
    assert epochs_to(LINE, 2.0) == 10
    assert epochs_to(LINE, 3.01) == np.inf
    assert epochs_to(LINE, 0.5) == 0
    assert epochs_to(BENT, 2.5) == pytest.approx(3.0)  # the first time


def test_a_level_favours_neither_arm():
    runs = {"baseline": [LINE, LINE], "pcpo": [BENT, BENT]}
    swapped = {"baseline": runs["pcpo"], "pcpo": runs["baseline"]}
    assert derived_level(runs, 0.75) == derived_level(swapped, 0.75) == pytest.approx(1.75)
    flat = {"baseline": [LINE], "pcpo": [np.array([[0, 1.0], [20, 0.9]])]}
    assert np.isnan(derived_level(flat, 0.75))


def line(rate, end):
    """From 1, validated at the start, half-way and at the end."""
    return np.array([[epoch, 1 + rate * epoch] for epoch in (0, end / 2, end)])


def test_runs_are_compared_up_to_the_last_epoch_that_they_share():
    """Seed 0 to epochs 40 and 30, seed 1 to 20 and 40. A line's area is half of its last gain."""
    baseline = {0: line(0.012, 40), 1: line(0.04, 20)}
    pcpo = {0: line(0.05, 30), 1: line(0.06, 40)}
    pair = [baseline, pcpo]
    assert shared_ends(pair).tolist() == [30, 20]
    np.testing.assert_allclose(areas(pair), [[0.18, 0.4], [0.75, 0.6]])
    # At 20, which all four runs have, the baselines have gained 0.24 and 0.8, PCPO 1 and 1.2.
    level = shared_level({"baseline": baseline, "pcpo": pcpo})
    assert level == pytest.approx(1 + 0.75 * 0.52)
    np.testing.assert_allclose(times_to(pair, level), [[32.5, 9.75], [7.8, 6.5]])
