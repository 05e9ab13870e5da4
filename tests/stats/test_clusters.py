import numpy as np
import pytest
from scipy import stats

from pcpo.stats.clusters import clustered_regression, clustered_share


def sandwich(y, x, groups):
    """Liang and Zeger's estimator with the usual correction, by its definition."""
    n, k = x.shape
    bread = np.linalg.inv(x.T @ x)
    residuals = y - x @ (bread @ (x.T @ y))
    names = np.unique(groups, axis=0)
    meat = np.zeros((k, k))
    for name in names:
        own = (groups == name).all(axis=1) if groups.ndim > 1 else groups == name
        score = x[own].T @ residuals[own]
        meat += np.outer(score, score)
    g = len(names)
    return bread @ meat @ bread * g / (g - 1) * (n - 1) / (n - k)


@pytest.fixture
def data():
    rng = np.random.default_rng(4)
    clusters = np.column_stack([rng.integers(0, 12, 300), rng.integers(100, 120, 300)])
    x = np.column_stack([np.ones(300), rng.integers(0, 2, 300)])
    shifts = rng.normal(size=12)[clusters[:, 0]] + rng.normal(size=20)[clusters[:, 1] - 100]
    return 0.3 * x[:, 1] + shifts + rng.normal(size=300), x, clusters


def test_errors_are_those_of_the_definition(data):
    y, x, clusters = data
    found = clustered_regression(y, x, clusters)
    assert found.values == pytest.approx(np.linalg.lstsq(x, y)[0])
    one, two = (sandwich(y, x, clusters[:, kind]) for kind in (0, 1))
    both = one + two - sandwich(y, x, clusters)
    expected = np.max([np.diag(v) for v in (one, two, both)], axis=0)
    assert found.errors**2 == pytest.approx(expected, rel=0.02)  # corrections of both differ
    assert found.df == 11
    low, high = found.ends(1)
    assert (high - low) / 2 == pytest.approx(stats.t.ppf(0.975, 11) * found.errors[1])


def test_clusters_of_one_value_each_give_the_t_interval():
    y = np.random.default_rng(0).integers(0, 2, 40).astype(float)
    each = np.column_stack([np.arange(40)] * 2)
    mean, low, high, df = clustered_share(y, each)
    expected = stats.t.interval(0.95, 39, y.mean(), y.std(ddof=1) / np.sqrt(40))
    assert (mean, df) == (y.mean(), 39)
    assert (low, high) == pytest.approx(expected)


def test_repeated_answers_of_a_rater_count_once():
    """Each rater gives one answer ten times: the interval is that of the raters."""
    rng = np.random.default_rng(1)
    of_rater = rng.integers(0, 2, 30).astype(float)
    raters, prompts = np.repeat(np.arange(30), 10), np.tile(np.arange(10), 30)
    _, low, high, _ = clustered_share(of_rater[raters], np.column_stack([raters, prompts]))
    error = of_rater.std(ddof=1) / np.sqrt(30)
    assert high - low >= 2 * 1.96 * error
    naive = 2 * 1.96 * error / np.sqrt(10)
    assert high - low > 3 * naive


def test_unanimous_answers_have_an_exact_interval():
    clusters = np.column_stack([np.repeat(np.arange(8), 5), np.tile(np.arange(5), 8)])
    mean, low, high, _ = clustered_share(np.ones(40), clusters)
    assert (mean, high) == (1.0, 1.0)
    assert low == pytest.approx(0.025 ** (1 / 5))  # Clopper and Pearson, of five prompts
    mean, low, high, _ = clustered_share(np.zeros(40), clusters)
    assert (mean, low) == (0.0, 0.0) and high == pytest.approx(1 - 0.025 ** (1 / 5))


def test_one_rater_gives_no_interval():
    mean, low, high, df = clustered_share([1, 0, 1], [[1, 1], [1, 2], [1, 3]])
    assert mean == pytest.approx(2 / 3) and np.isnan([low, high]).all() and df == 0
