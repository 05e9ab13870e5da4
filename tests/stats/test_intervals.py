import numpy as np
import pytest
from scipy import stats

from pcpo.stats.intervals import block_means, t_interval


def test_t_interval_is_students():
    values = np.random.default_rng(0).normal(3, 2, size=17)
    found = t_interval(values)
    low, high = stats.t.interval(0.95, 16, values.mean(), stats.sem(values))
    np.testing.assert_allclose(found, [values.mean(), low, high, 17])
    assert np.isnan(t_interval([1.0]).low)
    for bad in ([], [1.0, np.nan], [[1.0, 2.0]]):
        with pytest.raises(ValueError, match="finite values"):
            t_interval(bad)


def test_block_means_cover_autocorrelated_series():
    np.testing.assert_allclose(block_means(np.arange(1.0, 8.0), 3), [2.0, 4.5, 6.5])  # 3, 2, 2
    np.testing.assert_allclose(block_means([1.0, 2.0], 10), [1.0, 2.0])
    rng = np.random.default_rng(1)
    plain = blocked = 0
    for _ in range(300):
        series = np.zeros(100)
        for t in range(1, 100):
            series[t] = 0.7 * series[t - 1] + rng.normal()
        plain += (found := t_interval(series)).low <= 0 <= found.high
        blocked += (found := t_interval(block_means(series))).low <= 0 <= found.high
    assert plain / 300 < 0.7
    assert blocked / 300 > 0.85
