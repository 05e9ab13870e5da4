import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pcpo.figures.seed_bands import draw_band, seed_band

RUNS = pd.DataFrame(
    {
        "seed": [0] * 6 + [1] * 4,
        "epoch": [1, 2, 3, 4, 5, 6, 1, 2, 3, 4],
        "value": [0.0, 3.0, 0.0, 3.0, 0.0, 3.0, 4.0, 4.0, 4.0, 4.0],
    }
)


def test_a_band_ends_with_the_shortest_run():
    band = seed_band(RUNS, "value")
    assert band["epoch"].tolist() == [1, 2, 3, 4]
    assert band["mean"].tolist() == [2.0, 3.5, 2.0, 3.5]
    assert band["low"].tolist() == [0.0, 3.0, 0.0, 3.0]
    assert band["high"].tolist() == [4.0] * 4


def test_each_seed_is_smoothed_before_the_band():
    band = seed_band(RUNS, "value", window=3)
    np.testing.assert_allclose(band["low"], [1.5, 1.0, 2.0, 1.5])
    np.testing.assert_allclose(band["high"], 4.0)


def test_a_single_seed_has_a_line_and_no_band():
    axes = Figure().subplots()
    draw_band(axes, seed_band(RUNS[RUNS["seed"] == 0], "value"), "pcpo")
    assert len(axes.lines) == 1
    assert not axes.collections
    draw_band(axes, seed_band(RUNS, "value"), "pcpo")
    assert len(axes.collections) == 1
