import mpmath
import numpy as np
import pandas as pd
import pytest

from pcpo.analysis.taylor import largest_errors, relative_error


@pytest.mark.parametrize("x", [-0.3, -1e-4, 1e-9, 0.0239, 0.5])
def test_the_error_is_that_of_the_logarithm(x):
    with mpmath.workdps(40):
        truth = abs(mpmath.mpf(x) / (mpmath.exp(mpmath.mpf(x)) - 1) - 1)
    assert relative_error(x) == pytest.approx(float(truth), rel=1e-6, abs=1e-15)


def test_it_is_zero_at_a_ratio_of_one_and_1_2_percent_at_a_log_ratio_of_0_024():
    np.testing.assert_allclose(relative_error([0.0, 0.024]), [0.0, 0.012], atol=1e-4)
    rows = pd.DataFrame({"log_ratio_q00": [-0.1, 0.0], "log_ratio_q100": [0.05, 0.0]}, index=[7, 9])
    found = largest_errors(rows)
    assert list(found.index) == [7, 9]
    np.testing.assert_allclose(found, [relative_error(-0.1), 0.0])
