import numpy as np
import pytest

from pcpo.stats.holm import holm


@pytest.mark.parametrize(
    ("p", "adjusted"),
    [
        # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5, 0.6, 0.9], [1.0, 1.0, 1.0]),
        ([0.02], [0.02]),
        ([np.nan, 0.02, 0.03], [np.nan, 0.04, 0.04]),  # what was not tested does not count
        ([np.nan], [np.nan]),
    ],
)
def test_holm(p, adjusted):
    np.testing.assert_allclose(holm(p), adjusted, rtol=1e-14)


def test_a_value_that_is_no_probability_is_refused():
    with pytest.raises(ValueError, match="must lie in"):
        holm([0.1, 1.2])
