import math

import numpy as np
import pytest
from scipy import stats

from pcpo.stats.ratio_of_means import ratio_of_means


@pytest.mark.parametrize("coverage", [0.8, 0.95])
@pytest.mark.parametrize("seed", range(3))
def test_a_t_test_of_the_difference_is_at_its_limit_at_both_bounds(seed, coverage):
    rng = np.random.default_rng(seed)
    y = rng.normal(2.0, 0.4, 6)
    x = 0.5 * y + rng.normal(0.0, 0.3, 6)
    found = ratio_of_means(x, y, coverage)
    assert found.mean == pytest.approx(x.mean() / y.mean())
    for bound in (found.low, found.high):
        assert stats.ttest_1samp(x - bound * y, 0).pvalue == pytest.approx(1 - coverage)
    assert found.low < found.mean < found.high
    assert stats.ttest_1samp(x - found.mean * y, 0).pvalue > 1 - coverage


def test_no_interval_where_the_lower_mean_may_be_zero():
    y = np.array([-1.0, 1.0, 0.5, 2.0])
    assert stats.ttest_1samp(y, 0).pvalue > 0.05
    found = ratio_of_means([1.0, 2.0, 3.0, 4.0], y)
    assert math.isnan(found.low) and math.isnan(found.high)
    assert found.mean == pytest.approx(4.0)


def test_covers_the_true_ratio_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(2000):
        y = rng.normal(1.0, 0.2, 6)
        found = ratio_of_means(rng.normal(0.3, 0.2, 6), y)
        hits.append(found.low <= 0.3 <= found.high)
    # Four standard errors; where y's mean is not told from 0 there is no interval.
    assert np.mean(hits) == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 2000))


@pytest.mark.parametrize(("x", "y"), [([1.0], [1.0, 2.0]), ([], []), ([1.0, math.inf], [1.0, 2.0])])
def test_refuses_what_is_no_pair_of_finite_values(x, y):
    with pytest.raises(ValueError, match="ratio_of_means"):
        ratio_of_means(x, y)


def test_one_pair_has_a_ratio_and_no_interval():
    found = ratio_of_means([1.0], [4.0])
    assert (found.mean, found.n) == (0.25, 1)
    assert math.isnan(found.low)
