"""What the raters like, by definition, and how far the drawings of the rewards reach."""

import numpy as np
import pytest
import torch

from pcpo.synthetic import drawing
from pcpo.synthetic.captioned import draw_captions
from pcpo.synthetic.raters import PLAIN, QUALITIES, TASTES, rating


def test_colourfulness_is_the_published_formula():
    image = np.random.default_rng(0).integers(0, 256, (3, 8, 8), dtype=np.uint8)
    red, green, blue = image.astype(np.float64) / 255
    a, b = red - green, (red + green) / 2 - blue
    published = np.hypot(a.std(), b.std()) + 0.3 * np.hypot(a.mean(), b.mean())
    found = QUALITIES["colourfulness"](torch.from_numpy(image))
    assert found.item() == pytest.approx(published, rel=1e-5)


def test_a_white_image_in_a_black_frame():
    image = torch.zeros(3, 32, 32, dtype=torch.uint8)
    image[:, 3:-3, 3:-3] = 255
    assert QUALITIES["dark_border"](image).item() == 1
    assert QUALITIES["dark_border"](255 - image).item() == pytest.approx(0, abs=1e-6)
    assert QUALITIES["colourfulness"](image).item() == 0
    share = (26 / 32) ** 2
    assert QUALITIES["contrast"](image).item() == pytest.approx((share * (1 - share)) ** 0.5)


def test_plain_drawings_have_standard_qualities():
    scenes = [drawing.parse_caption(text) for text in drawing.CAPTIONS for _ in range(10)]
    images = drawing.draw(scenes, np.random.default_rng(5)).unflatten(0, (180, 10))
    for name, (mean, spread) in PLAIN.items():
        found = QUALITIES[name](images)
        assert found.mean().item() == pytest.approx(mean, abs=0.05 * spread), name
        assert found.var(dim=1).mean().sqrt().item() == pytest.approx(spread, rel=0.05), name


def test_drawings_of_the_rewards_reach_far_beyond_plain_ones():
    plain = draw_captions(4, np.random.default_rng(0), wide_share=0.0)
    wide = draw_captions(4, np.random.default_rng(0))
    for name in TASTES:
        usual, far = rating(plain, name), rating(wide, name)
        spread = usual.var(dim=1).mean().sqrt()
        assert far.flatten().quantile(0.99) > usual.mean() + 6 * spread, name
