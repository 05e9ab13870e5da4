import math

import pytest

from pcpo.report.numbers import duration, measure
from pcpo.report.synthetic import read_synthetic


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (3.21, "3.2 s"),
        (59.99, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599.7, "1 h 00 min"),
        (7499, "2 h 05 min"),
        (4e6, "1,111 h 07 min"),
        (math.nan, "not measured"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-0.000123456, "−0.0001235"),
        (1234.56, "1235"),
        (1234567.8, "1,234,568"),
        (-math.inf, "−∞"),
        (math.inf, "∞"),
        (math.nan, "–"),
    ],
)
def test_measures(value, text):
    assert measure(value) == text


def test_tables_of_synthetic_data(tmp_path):
    (tmp_path / "synthetic").mkdir()
    rows = "a_model,accuracy,bar\nsd_14,0.98000,\nquality_network,1.0000,0.9500\n"
    (tmp_path / "synthetic" / "accuracy.csv").write_text(rows)
    (table,) = read_synthetic(tmp_path).values()
    assert table.header == ("a model", "accuracy", "bar")
    assert table.numeric == (False, True, True)
    assert table.rows == (("sd 14", "0.98", ""), ("quality network", "1", "0.95"))
