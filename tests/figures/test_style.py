import itertools

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from pcpo.config import arm_names
from pcpo.figures import style
from pcpo.figures.ablation import ablation
from pcpo.figures.registry import FIGURES
from pcpo.figures.style import save
from tests import fabricated

# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB.
SIGHT = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
# The arms of each figure that draws them as lines; the others have a row with a name for each.
ROWS = ("arm_gains", "parts_of_gain")
LINES = sorted({(*f.arms, *f.also) for f in FIGURES.values() if f.kind not in ROWS})
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
     [0.0193339, 0.1191920, 0.9503041]]
)  # fmt: skip


def linear(colour):
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(colour, sight):
    seen = np.clip(np.array(SIGHT[sight]) @ linear(colour), 0, 1)
    xyz = XYZ @ seen / [0.95047, 1.0, 1.08883]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_every_arm_has_a_name_of_its_own_and_a_look_where_a_figure_draws_it():
    assert set(style.LABELS) == {*arm_names(), "base"}
    drawn = {arm for arms in LINES for arm in arms}
    for looks in (style.COLOURS, style.MARKERS):
        assert set(looks) >= drawn
        assert set(looks) <= set(style.LABELS)
    for looks in (style.COLOURS, style.MARKERS, style.LABELS):
        assert len(set(looks.values())) == len(looks)


@pytest.mark.parametrize("arm", style.COLOURS)
def test_colours_stand_out_from_white(arm):
    luminance = linear(style.COLOURS[arm]) @ [0.2126, 0.7152, 0.0722]
    assert 1.05 / (luminance + 0.05) > 3.0  # WCAG 2.1, graphical objects


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("arms", LINES)
def test_lines_of_one_figure_differ_for_every_sight(arms, sight):
    for one, other in itertools.combinations(arms, 2):
        distance = np.linalg.norm(lab(style.COLOURS[one], sight) - lab(style.COLOURS[other], sight))
        assert distance > 20, (one, other)


@pytest.mark.parametrize("arms", LINES)
def test_marks_of_one_figures_lines_stand_apart(arms):
    assert len({style.look(arm, points=20)["markevery"] for arm in arms}) == len(arms)


def test_smoothing_is_a_centred_mean():
    values = np.random.default_rng(0).normal(size=20)
    for window in (1, 5, 50):
        expected = pd.Series(values).rolling(min(window, 39), center=True, min_periods=1).mean()
        np.testing.assert_allclose(style.smooth(values, window), expected, atol=1e-12)


def test_the_last_bits_of_a_position_do_not_change_the_files(tmp_path):
    edge = 46.0800005 / (72 * 6.4)  # files have six decimals of a point
    found = []
    for left in (edge - 1e-12, edge + 1e-12):
        figure = Figure(figsize=(6.4, 4.8))
        inner = figure.subfigures(1, 2)[1].subfigures(2, 1)[0]
        inner.bbox_relative.x0 += left - edge
        for part in (figure, inner):
            part.add_axes((left, 0.1, 0.8, 0.3)).plot([0, 1], [1, 0])
        files = style.save(figure, tmp_path / "figure", ["svg", "pdf"])
        found.append([path.read_bytes() for path in files])
    assert found[0] == found[1]


def test_saving_twice_gives_the_same_bytes_and_leaves_no_settings(updates, tmp_path):
    before = dict(matplotlib.rcParams)
    for folder in ("a", "b"):
        paths = save(ablation(updates, fabricated.experiments((1,))), tmp_path / folder / "figure6")
        assert [p.suffix for p in paths] == [".pdf", ".png", ".svg"]
    for suffix in (".pdf", ".png", ".svg"):
        one, two = ((tmp_path / f / f"figure6{suffix}").read_bytes() for f in "ab")
        assert one == two
    assert len(list((tmp_path / "a").iterdir())) == 3
    assert dict(matplotlib.rcParams) == before


def test_the_users_own_settings_do_not_enter(updates, tmp_path):
    drawn = []
    for own in ({}, {"font.size": 30, "axes.facecolor": "red", "savefig.transparent": True}):
        with matplotlib.rc_context(own):
            paths = save(ablation(updates, fabricated.experiments((1,))), tmp_path / "figure6")
        drawn.append([path.read_bytes() for path in paths])
    assert drawn[0] == drawn[1]
