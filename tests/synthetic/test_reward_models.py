"""Parts of the training of the demo's reward models that have a known answer."""

import numpy as np
import torch

from pcpo.synthetic import drawing, words
from pcpo.synthetic.blip import wrong_captions
from pcpo.synthetic.captioned import draw_captions
from pcpo.synthetic.recogniser import random_words, targets


def test_drawings_are_grouped_by_caption():
    images = draw_captions(2, np.random.default_rng(0), wide_share=0.0)
    assert images.shape == (180, 2, 3, 32, 32)
    red = drawing.CAPTIONS.index("red square")
    blue = drawing.CAPTIONS.index("blue square")
    centre = images[:, :, :, 14:18, 14:18].float().mean(dim=(1, 3, 4))
    assert centre[red, 0] > centre[red, 2]
    assert centre[blue, 2] > centre[blue, 0]


def test_wrong_captions_differ_in_one_attribute_or_at_random():
    generator = torch.Generator().manual_seed(0)
    captions = torch.arange(180).repeat(5)
    one = wrong_captions(captions, 1.0, generator)
    scenes = [drawing.parse_caption(text) for text in drawing.CAPTIONS]
    for a, b in zip(captions.tolist(), one.tolist(), strict=True):
        x, y = scenes[a], scenes[b]
        differing = (x.colour != y.colour) + (x.shape != y.shape) + (x.activity != y.activity)
        assert differing == 1
    anything = wrong_captions(captions, 0.0, generator)
    assert (anything != captions).all()
    assert len(anything.unique()) > 150


def test_recogniser_targets_end_in_blanks():
    texts = random_words(50, np.random.default_rng(0))
    assert {len(text) for text in texts} == {2, 3}
    blank = len(words.LETTERS)
    for text, row in zip(texts, targets(texts).tolist(), strict=True):
        letters = [words.LETTERS[k] if k != blank else "" for k in row]
        assert "".join(letters) == text
