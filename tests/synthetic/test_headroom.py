"""Headroom of rewards that are known functions of the pixels."""

import math

import numpy as np
import pytest
import torch

from pcpo.synthetic import drawing, words
from pcpo.synthetic.headroom import measure, own_drawings
from pcpo.synthetic.raters import rating

NOUNS = drawing.NOUNS[:6]


def base_images():
    scenes = [drawing.parse_caption(text) for text in NOUNS for _ in range(5)]
    return drawing.draw(scenes, np.random.default_rng(1)).unflatten(0, (6, 5))


def test_a_reward_that_is_the_raters_opinion_is_right_everywhere():
    images = base_images()
    found = measure(lambda batch, texts: rating(batch, "hps"), "hps", images, NOUNS)
    scores = rating(images, "hps").numpy().astype(np.float64)
    assert found.base_mean == pytest.approx(scores.mean())
    assert found.base_spread == pytest.approx(np.sqrt(scores.var(axis=1, ddof=1).mean()))
    assert found.headroom == pytest.approx((found.best - found.base_mean) / found.base_spread)
    assert found.headroom > 4
    assert found.correlation == pytest.approx(1)
    assert found.beyond_base == pytest.approx(1)


def test_a_reward_with_a_ceiling_at_the_base_has_no_headroom():
    images = base_images()
    top = rating(images, "hps").median()
    capped = measure(lambda batch, texts: rating(batch, "hps").clamp(max=top), "hps", images, NOUNS)
    assert capped.headroom < 1


def test_words_are_measured_on_words_and_have_no_raters():
    prompts = [words.prompt(word) for word in words.WORDS[:3]]
    drawn, texts = own_drawings(prompts)
    assert len(drawn) == len(texts) and set(texts) == {words.prompt(w) for w in words.WORDS}
    images = torch.zeros(3, 2, 3, 32, 32, dtype=torch.uint8)
    images[:, 1] = 255
    found = measure(lambda batch, texts: batch.float().mean(dim=(1, 2, 3)), "ocr", images, prompts)
    assert math.isnan(found.correlation) and math.isnan(found.beyond_base)
