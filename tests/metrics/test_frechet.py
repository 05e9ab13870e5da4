import mpmath
import numpy as np
import pytest
from scipy import linalg, stats

from pcpo.metrics.frechet import frechet_distance


def by_matrix_square_root(x, y):
    c_x, c_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    shift = x.mean(0) - y.mean(0)
    root = linalg.sqrtm(c_x @ c_y).real
    return shift @ shift + np.trace(c_x) + np.trace(c_y) - 2 * np.trace(root)


def by_mpmath(x, y, digits=60):
    """The definition in 60 digits: eigenvalues of the symmetric C_x^(1/2) C_y C_x^(1/2)."""
    with mpmath.workdps(digits):

        def moments(a):
            n, d = a.shape
            m = mpmath.matrix(a.tolist())
            mean = [mpmath.fsum(m[:, j]) / n for j in range(d)]
            centred = mpmath.matrix(n, d)
            for i in range(n):
                for j in range(d):
                    centred[i, j] = m[i, j] - mean[j]
            return mean, centred.T * centred / (n - 1)

        (mean_x, c_x), (mean_y, c_y) = moments(x), moments(y)
        d = len(mean_x)
        values, vectors = mpmath.eigsy(c_x)
        root = vectors * mpmath.diag([mpmath.sqrt(max(v, 0)) for v in values]) * vectors.T
        product = mpmath.eigsy(root * c_y * root, eigvals_only=True)
        shift = mpmath.fsum((a - b) ** 2 for a, b in zip(mean_x, mean_y, strict=True))
        traces = mpmath.fsum(c_x[i, i] + c_y[i, i] for i in range(d))
        return float(shift + traces - 2 * mpmath.fsum(mpmath.sqrt(max(v, 0)) for v in product))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize(("n", "m"), [(200, 150), (30, 200), (12, 13)])
def test_agrees_with_scipy_where_the_covariances_have_full_rank(rng, n, m):
    x = rng.normal(size=(n, 10)) @ rng.normal(size=(10, 10))
    y = rng.normal(0.3, 1.4, size=(m, 10))
    assert frechet_distance(x, y) == pytest.approx(by_matrix_square_root(x, y), rel=1e-8)


@pytest.mark.parametrize(("n", "m", "d"), [(5, 5, 9), (4, 12, 8), (9, 6, 6)])
def test_is_exact_with_fewer_images_than_features(rng, n, m, d):
    x, y = rng.normal(size=(n, d)), rng.normal(0.5, 2.0, size=(m, d))
    assert frechet_distance(x, y) == pytest.approx(by_mpmath(x, y), rel=1e-12)


def test_agrees_with_the_closed_form_for_gaussians_with_commuting_covariances():
    # Features with exactly these moments: orthogonal contrasts, scaled.
    contrasts = linalg.hadamard(16)[:, 1:6] * np.sqrt(15 / 16)
    s_x, s_y = np.array([1.0, 2, 3, 4, 5]), np.array([5.0, 1, 3, 0, 2])
    mu = np.array([0.5, 0, 0, -1, 0])
    expected = mu @ mu + np.sum((s_x - s_y) ** 2)
    assert frechet_distance(contrasts * s_x, contrasts * s_y + mu) == pytest.approx(expected)


def test_agrees_with_torch_fidelity(rng):
    torch = pytest.importorskip("torch")
    fid = pytest.importorskip("torch_fidelity.metric_fid")
    x, y = rng.normal(size=(80, 12)), rng.gamma(2.0, size=(90, 12))
    statistics = [fid.fid_features_to_statistics(torch.from_numpy(a)) for a in (x, y)]
    reference = fid.fid_statistics_to_metric(*statistics, verbose=False)
    assert frechet_distance(x, y) == pytest.approx(reference[fid.KEY_METRIC_FID], rel=1e-9)


def test_is_a_squared_distance_on_moments(rng):
    x, y = rng.normal(size=(40, 7)), rng.normal(1.0, 2.0, size=(50, 7))
    rotation = stats.ortho_group.rvs(7, random_state=1)
    d = frechet_distance(x, y)
    assert frechet_distance(x, x[::-1]) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(y, x) == pytest.approx(d)
    assert frechet_distance(x @ rotation + 3, y @ rotation + 3) == pytest.approx(d)
    assert frechet_distance(3 * x, 3 * y) == pytest.approx(9 * d)


def test_float32_features_are_computed_in_float64(rng):
    x, y = rng.normal(1e3, 1, size=(60, 5)), rng.normal(1e3, 1, size=(60, 5))
    x, y = x.astype(np.float32), y.astype(np.float32)
    expected = by_matrix_square_root(x.astype(float), y.astype(float))
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((1, 3)), np.zeros((4, 3)), "at least 2"),
        (np.zeros((4, 3)), np.zeros((4, 2)), "same feature network"),
        (np.array([[0.0, np.nan], [1, 2]]), np.zeros((4, 2)), "NaN"),
        (np.zeros(4), np.zeros((4, 2)), "expected"),
    ],
)
def test_refuses_what_has_no_distance(x, y, message):
    with pytest.raises(ValueError, match=message):
        frechet_distance(x, y)
