"""Who chooses which of two images."""

import math

import torch

from pcpo.synthetic import drawing
from pcpo.synthetic.choices import choice_accuracy, draw_choices
from pcpo.synthetic.raters import MATCH, rating

CAPTIONS = torch.arange(180)


def generator():
    return torch.Generator().manual_seed(0)


def test_among_equal_images_only_the_caption_decides():
    images = torch.full((180, 2, 3, 32, 32), 128, dtype=torch.uint8)
    share = draw_choices(images, "hps", CAPTIONS.repeat(4), generator()).share
    right = 1 / (1 + math.exp(-MATCH))
    wrong_shown = torch.isclose(share, torch.tensor(right))
    assert (wrong_shown | (share == 0.5)).all()
    assert 0.4 < wrong_shown.float().mean() < 0.6


def test_the_second_image_shows_the_caption_or_differs_in_one_attribute():
    images = torch.arange(180, dtype=torch.uint8)[:, None, None, None, None].expand(-1, 1, 3, 8, 8)
    found = draw_choices(images, "pickscore", CAPTIONS, generator())
    scenes = [drawing.parse_caption(text) for text in drawing.CAPTIONS]
    assert (found.first[:, 0, 0, 0] == CAPTIONS).all()
    for own, shown in zip(scenes, found.second[:, 0, 0, 0].tolist(), strict=True):
        other = scenes[shown]
        pairs = ((own.colour, other.colour), (own.shape, other.shape))
        assert sum(a != b for a, b in (*pairs, (own.activity, other.activity))) <= 1


def test_accuracy_is_one_for_the_raters_own_opinion_and_low_for_the_opposite():
    images = torch.randint(0, 256, (180, 3, 3, 32, 32), generator=generator()).to(torch.uint8)
    images[:, 1:] //= 2  # ratings that differ by more than a wrong attribute counts
    images[:, 2] //= 4

    def opinion(sign):
        return lambda batch, captions: sign * rating(batch, "aesthetic")

    agreed = choice_accuracy(opinion(1), "aesthetic", images, generator())
    assert agreed > 0.8
    assert choice_accuracy(opinion(-1), "aesthetic", images, generator()) < 0.5
