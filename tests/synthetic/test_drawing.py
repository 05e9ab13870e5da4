import numpy as np
import pytest
import torch

from pcpo.synthetic import drawing
from pcpo.synthetic.drawing import Scene


def test_captions_are_45_nouns_and_135_activity_prompts_and_round_trip():
    assert len(drawing.NOUNS) == 45
    assert len(drawing.ACTIVITY_PROMPTS) == 135
    assert len(set(drawing.CAPTIONS)) == 180
    scenes = [drawing.parse_caption(text) for text in drawing.CAPTIONS]
    assert [drawing.caption(scene) for scene in scenes] == list(drawing.CAPTIONS)
    assert len(set(scenes)) == 180


@pytest.mark.parametrize("text", ["cat", "red", "a red circle", "red circle under a dot", ""])
def test_other_text_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="red circle"):
        drawing.parse_caption(text)


def test_same_generator_state_same_bytes_and_uint8_rgb():
    scenes = [drawing.parse_caption(text) for text in drawing.CAPTIONS[::7]]
    first = drawing.draw(scenes, np.random.default_rng(3))
    second = drawing.draw(scenes, np.random.default_rng(3))
    assert first.dtype == torch.uint8
    assert first.shape == (len(scenes), 3, 32, 32)
    assert torch.equal(first, second)
    assert not torch.equal(first, drawing.draw(scenes, np.random.default_rng(4)))


def test_the_centre_of_a_square_has_its_colour():
    for colour, channels in ((0, (0,)), (1, (1,)), (2, (2,)), (3, (0, 1)), (4, (0, 2))):
        image = drawing.draw([Scene(colour, 1)], np.random.default_rng(0))[0, :, 16, 16].float()
        others = [k for k in range(3) if k not in channels]
        assert image[list(channels)].min() > image[others].max() + 20


def test_marks_darken_where_their_activity_is():
    layout = drawing.sample_layout(1, np.random.default_rng(0))
    plain = drawing.render([Scene(0, 0)], layout)[0].int()
    darkened = [
        (plain - drawing.render([Scene(0, 0, activity)], layout)[0].int()).sum(dim=0) > 60
        for activity in range(3)
    ]
    line, frame, dot = darkened
    assert line[28:].any()
    assert not line[:24].any()
    assert frame[16, :5].any()
    assert frame[16, -5:].any()
    assert not frame[8:24, 8:24].any()
    assert dot[:7, 12:20].any()
    assert not dot[8:].any()


def test_area_of_a_circle_is_that_of_the_disc():
    layout = drawing.sample_layout(20, np.random.default_rng(1))
    inside = drawing._shape_coverage(
        np.zeros(20, dtype=np.int64),
        layout,
        *(axis - layout.centre[:, k, None, None] for k, axis in enumerate(drawing.pixel_grid())),
    )
    radius = 0.95 * layout.size * 16  # in pixels
    np.testing.assert_allclose(inside.sum(axis=(1, 2)), np.pi * radius**2, rtol=0.02)
