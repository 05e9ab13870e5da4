"""Choices between two images of one caption: what PickScore, HPS and ImageReward are trained on.

Half of the time, the second image shows what differs from the caption in one attribute.
Raters choose by their rating of the pixels (`pcpo.synthetic.raters`) and by what is right, as in
the Bradley-Terry model: the share that chooses the first image is the logistic function of the gap.
"""

from __future__ import annotations

from itertools import chain
from typing import NamedTuple

import torch

from pcpo.rewards import Reward
from pcpo.synthetic import drawing
from pcpo.synthetic.captioned import one_attribute_wrong
from pcpo.synthetic.raters import MATCH, rating

_ONE_WRONG = [list(chain(*by_attribute)) for by_attribute in one_attribute_wrong()]


class Choices(NamedTuple):
    """uint8 images (B, 3, H, W) and, float32 (B,), the share of raters that chooses the first."""

    first: torch.Tensor
    second: torch.Tensor
    share: torch.Tensor


def draw_choices(
    images: torch.Tensor, reward: str, captions: torch.Tensor, generator: torch.Generator
) -> Choices:
    """For each caption index, int64 (B,), two of the drawings (180, n, 3, H, W), and the choice of
    the raters of `reward`."""
    rolls = torch.rand(len(captions), generator=generator).tolist()
    picks = torch.randint(1 << 20, captions.shape, generator=generator).tolist()
    shown = captions.clone()
    for row, caption in enumerate(captions.tolist()):
        if rolls[row] < 0.5:
            wrong = _ONE_WRONG[caption]
            shown[row] = wrong[picks[row] % len(wrong)]
    rows = torch.randint(images.shape[1], (2, len(captions)), generator=generator)
    first, second = images[captions, rows[0]], images[shown, rows[1]]
    gap = rating(first, reward) - rating(second, reward) + MATCH * (shown != captions)
    return Choices(first, second, gap.sigmoid())


@torch.no_grad()
def choice_accuracy(
    reward: Reward, name: str, images: torch.Tensor, generator: torch.Generator
) -> float:
    """Share of choices between two of the drawings (180, n, 3, H, W), one for each caption, in
    which the reward prefers what most raters of the reward `name` prefer."""
    captions = torch.arange(len(images))
    first, second, share = draw_choices(images, name, captions, generator)
    gap = reward(first, drawing.CAPTIONS) - reward(second, drawing.CAPTIONS)
    return ((gap > 0) == (share > 0.5)).float().mean().item()
