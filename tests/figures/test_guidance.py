"""Figures 13 and 14: the frame's numbers, and each image in its place."""

import numpy as np
import pytest

from pcpo.cli import figure
from pcpo.config.reward_guidance import folder_of
from pcpo.evaluation.images import write_images
from pcpo.figures.guidance_grid import guidance_grid
from pcpo.figures.guidance_scale import guidance_scale
from pcpo.figures.pictures import Pictures
from pcpo.records import frame_file, frames
from tests import fabricated

STRENGTHS = (0.0, 0.5, 1.0, 1.5)


def flat(level, side=4):
    return np.full((3, side, side), level, np.uint8)


def levels(axes):
    """The grey level of each panel with an image in colours; heat maps have numbers."""
    shown = [np.asarray(panel.get_images()[0].get_array()) for panel in axes if panel.get_images()]
    return [int(image.flat[0]) for image in shown if image.ndim == 3]


def test_curves_have_the_means_over_prompts_and_a_band_over_seeds(given):
    drawn = guidance_scale(given["reward_guidance"], fabricated.experiments((5,)))
    reward, distance = drawn.axes
    line, *ends = reward.get_lines()
    np.testing.assert_allclose(line.get_xdata(), STRENGTHS)
    np.testing.assert_allclose(line.get_ydata(), np.add(STRENGTHS, 1 + 2.5 + 0.05))
    assert [end.get_xdata()[0] for end in ends] == [0, 1]  # the base model, the aligned model
    band = reward.collections[0].get_paths()[0].vertices
    at_one = band[np.isclose(band[:, 0], 1), 1]
    assert (at_one.min(), at_one.max()) == pytest.approx((4.5, 4.6))
    np.testing.assert_allclose(distance.get_lines()[0].get_ydata(), np.square(STRENGTHS))


def test_images_are_in_the_column_of_their_strength(given):
    labels = [folder_of([s]) for s in STRENGTHS]
    images = {label: [flat(10 * n + row) for row in (1, 2)] for n, label in enumerate(labels)}
    shown = [Pictures(images, ["red circle", "a blue star above a line"])]
    drawn = guidance_scale(given["reward_guidance"], fabricated.experiments((5,)), (), shown)
    assert levels(drawn.axes) == [1, 11, 21, 31, 2, 12, 22, 32]
    titles = [axes.get_title() for axes in drawn.axes if axes.get_images()]
    assert titles[:4] == [f"s = {label}" for label in labels]


def test_heat_maps_rise_with_the_strength_of_their_own_model(given):
    drawn = guidance_grid(given["reward_guidance"], fabricated.experiments((2, 4)))
    first, second = (axes.get_images()[0].get_array() for axes in drawn.axes if axes.get_images())
    expected = np.add(STRENGTHS, 1 + 2.5 + 0.05)
    np.testing.assert_allclose(first, np.tile(expected, (4, 1)))  # along the horizontal axis
    np.testing.assert_allclose(second, np.tile(expected[:, None], (1, 4)))
    titled = [axes.get_title() for axes in drawn.axes if axes.get_title()]
    assert ["Aesthetics" in titled[0], "BERTScore" in titled[1]] == [True, True]


def test_images_of_two_models_are_where_the_heat_maps_have_their_numbers(given):
    images = {folder_of((s, r)): [flat(int(10 * s + 100 * r))] for s in STRENGTHS for r in (0, 1)}
    shown = [Pictures(images, ["red circle"])]
    drawn = guidance_grid(given["reward_guidance"], fabricated.experiments((2, 4)), (), shown)
    upper, lower = [100, 105, 110, 115], [0, 5, 10, 15]  # rows from above: strength 1, then 0
    assert levels(drawn.axes) == upper + lower


def test_the_command_draws_frame_and_images(given, tmp_path):
    frame = given["reward_guidance"]
    names = {number: fabricated.name(number) for number in (5, 6)}
    words = ["guidance_scale", "--scale", "demo", "--figure", "figure13", "--experiments", "5", "6"]
    for s in STRENGTHS:
        for name in names.values():
            folder = tmp_path / name / folder_of([s])
            rows = [(i, f"prompt {i}", seed) for i in range(4) for seed in (0, 1)]
            write_images(folder, rows, [flat(9, 8)] * len(rows))
            words += ["--row", f"{folder_of([s])}={folder}"]
    words += ["--arms", "pcpo", "--reward-guidance"]
    for name in names.values():
        words.append(str(tmp_path / f"{name}.parquet"))
        frame_file.write(
            frame[frame["experiment"] == name], frames.REWARD_GUIDANCE, words[-1], "demo"
        )
    out = tmp_path / "figure13"
    figure.main([*words, "--out", str(out)])
    text = out.with_suffix(".md").read_text()
    assert text.startswith("**Figure 13, ours: ")
    assert "training seeds 0, 1" in text
    assert text.count("prompt 0") == 1  # both configurations show the same prompts
    assert out.with_suffix(".png").stat().st_size > 1000
