import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from pcpo.figures import save, style
from pcpo.figures.ablation import ablation
from pcpo.figures.credit_weights import credit_weights
from pcpo.figures.ratio_distribution import ratio_distribution
from pcpo.figures.sample_grid import sample_grid
from pcpo.figures.training_curves import training_curves
from tests import synthetic


@pytest.fixture(scope="module")
def updates():
    rng = np.random.default_rng(0)
    arms = ("baseline", "log_hinge", "matching", "pcpo")
    curves = {arm: np.cumsum(rng.normal(0.1, 0.1, 30)) for arm in arms}
    return pd.concat([synthetic.updates(curves, n, noise=0.05) for n in (1, 6)])


def line(axes, arm):
    lines = axes.get_lines()
    return next(one for one in lines if to_hex(one.get_color()) == style.COLOURS[arm].lower())


def test_smoothing_is_a_centred_mean():
    values = np.random.default_rng(0).normal(size=20)
    for window in (1, 5, 50):
        expected = pd.Series(values).rolling(min(window, 39), center=True, min_periods=1).mean()
        np.testing.assert_allclose(style.smooth(values, window), expected, atol=1e-12)


def test_training_curves_show_the_frames_numbers(updates):
    figure = training_curves(updates, synthetic.experiments((1, 4, 6)), window=1)
    reward, clip = figure.axes[0], figure.axes[3]
    first = updates[(updates["experiment"] == synthetic.name(1)) & (updates["arm"] == "pcpo")]
    rewards = first.groupby("epoch")["reward_mean"].first()
    np.testing.assert_allclose(line(reward, "pcpo").get_ydata(), rewards)
    overall, on_policy = [x for x in clip.get_lines() if x.get_color() == style.COLOURS["pcpo"]]
    np.testing.assert_allclose(overall.get_ydata(), 0.1)
    np.testing.assert_allclose(on_policy.get_ydata(), 0.0)
    assert clip.get_ylim()[0] < 0.0 < 0.15 < clip.get_ylim()[1]
    assert [t.get_text() for t in figure.axes[1].texts] == ["no data"]  # configuration 4 has none


def test_ablation_has_four_arms_and_three_panels(updates):
    figure = ablation(updates, synthetic.experiments((1,)))
    assert len(figure.axes) == 3
    assert all(len(axes.get_lines()) == 4 for axes in figure.axes)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["Baseline", "+ log-hinge", "+ matching", "PCPO"]


def test_credit_weights_show_both_schedules():
    credit = synthetic.credit((2,))
    figure = credit_weights(credit, synthetic.experiments((2,)))
    top, bottom = figure.axes
    native = credit.loc[credit["arm"] == "pcpo", "native_weight"]
    np.testing.assert_allclose(line(top, "baseline").get_ydata(), native)
    proportional = line(bottom, "pcpo").get_ydata()
    trained = credit.loc[credit["arm"] == "pcpo", "trained"]
    assert np.array_equal(np.isnan(proportional), ~trained)  # untrained steps stand above alone
    assert np.ptp(proportional[trained]) == pytest.approx(0.0)
    left, right = top.get_xlim()
    assert left > right  # noise on the left


def test_ratio_distribution_draws_the_last_update(updates):
    figure = ratio_distribution(updates, synthetic.experiments((1, 6)))
    std = line(figure.axes[2], "pcpo").get_ydata()
    np.testing.assert_allclose(std, 2e-4)


def test_sample_grid_takes_both_layouts_and_refuses_others():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 256, (2, 3, 8, 8), dtype=np.uint8)
    figure = sample_grid({"A": first, "B": first.transpose(0, 2, 3, 1)}, ["one", "two"])
    shown = [axes.images[0].get_array() for axes in figure.axes]
    np.testing.assert_array_equal(shown[0], shown[2])
    np.testing.assert_array_equal(shown[1], first[1].transpose(1, 2, 0))
    with pytest.raises(ValueError, match="uint8"):
        sample_grid({"A": first.astype(float)}, ["one", "two"])
    with pytest.raises(ValueError, match="2 images for 1 captions"):
        sample_grid({"A": first}, ["one"])


def test_saving_twice_gives_the_same_bytes_and_leaves_no_settings(updates, tmp_path):
    before = dict(matplotlib.rcParams)
    for folder in ("a", "b"):
        paths = save(ablation(updates, synthetic.experiments((1,))), tmp_path / folder / "figure6")
        assert [p.suffix for p in paths] == [".pdf", ".png"]
    for suffix in (".pdf", ".png"):
        one, two = ((tmp_path / f / f"figure6{suffix}").read_bytes() for f in "ab")
        assert one == two
    assert len(list((tmp_path / "a").iterdir())) == 2
    assert dict(matplotlib.rcParams) == before
