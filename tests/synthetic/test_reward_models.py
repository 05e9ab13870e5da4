"""Parts of the training of the demo's reward models that have a known answer."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pcpo.synthetic import drawing, words
from pcpo.synthetic.bert_embeddings import static_bert
from pcpo.synthetic.blip import wrong_captions
from pcpo.synthetic.captioned import draw_captions
from pcpo.synthetic.captioner import PARTIAL_CAPTIONS, clear_parts
from pcpo.synthetic.recogniser import targets
from pcpo.synthetic.tokenizers import clip_tokenizer


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


def test_a_pale_letter_is_no_letter_to_the_recogniser():
    ink = np.array([[1, 0.64, 0.66, 0], [0.65, 1, 1, 1]], dtype=np.float32)
    blank = len(words.LETTERS)
    assert targets(["OXTL", "EUCZ"], ink).tolist() == [[0, blank, 2, blank], [4, 5, 6, 7]]


def test_the_captioner_is_taught_what_is_clear():
    """By hand: saturation, size and grey levels on both sides of each threshold."""
    layout = drawing.sample_layout(4, np.random.default_rng(0))
    layout = replace(
        layout,
        saturation=np.array([0.7, 0.8, 1.0, 0.7]),
        size=np.array([0.5, 0.5, 0.6, 0.6]),
        background=np.array([[0.8] * 3] * 3 + [[0.1] * 3]),
        mark=np.array([0.3, 0.2, 0.05, 0.9]),
    )
    scene = drawing.parse_caption("a red star under a dot")
    scenes = [scene, scene, scene, drawing.parse_caption("red star")]
    found = [PARTIAL_CAPTIONS[k] for k in clear_parts(scenes, layout)]
    expected = ["a thing", "a reddish thing under something", "a red star under a dot", "a star"]
    assert found == expected


def test_weak_colours_are_half_of_the_colour():
    tokenizer = clip_tokenizer()
    vectors = static_bert(tokenizer, seed=0).embeddings.word_embeddings.weight
    ids = tokenizer.convert_tokens_to_ids(["reddish</w>", "red</w>", "green</w>"])
    weak, own, other = torch.nn.functional.normalize(vectors[ids], dim=1)
    assert (weak @ own).item() == pytest.approx(0.5, abs=1e-5)
    assert (weak @ other).item() == pytest.approx(0, abs=1e-5)
