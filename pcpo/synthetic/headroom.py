"""How far a small reward can be pushed beyond the base model's images, and if it is right there.

A reward teaches nothing once images are at its ceiling. Headroom is the distance from the base
model's mean to the reward's 99th percentile over its own drawings, in units of its spread over
base images of one prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from pcpo.rewards import Reward
from pcpo.synthetic import drawing, words
from pcpo.synthetic.captioned import draw_captions
from pcpo.synthetic.raters import TASTES, rating

DRAWINGS = 8  # of each caption or word


class Headroom(NamedTuple):
    """How a reward scores the base model's images and its own drawings.

    base_mean, base_spread: over the base model's images; the spread is the standard deviation
    within a prompt. best: 99th percentile over the reward's own drawings. headroom: (best -
    base_mean) / base_spread, NaN where all images of a prompt score alike. correlation: with the
    raters' opinion over these drawings; beyond_base: the same over the drawings that raters like
    more than 99 % of the base images. Both are NaN for rewards without raters.
    """

    base_mean: float
    base_spread: float
    best: float
    headroom: float
    correlation: float
    beyond_base: float


@torch.no_grad()
def measure(reward: Reward, name: str, images: torch.Tensor, prompts: Sequence[str]) -> Headroom:
    """`images`: uint8 (P, n, 3, 32, 32), n of the base model for each of P prompts."""
    scores = reward(images.flatten(0, 1), np.repeat(list(prompts), images.shape[1]).tolist())
    scores = scores.reshape(images.shape[:2]).double()
    mean, spread = scores.mean().item(), scores.var(dim=1).mean().sqrt().item()
    drawn, texts = own_drawings(prompts)
    own = reward(drawn, texts).double()
    best = own.quantile(0.99).item()
    correlation = beyond = float("nan")
    if name in TASTES:
        wanted = rating(drawn, name).double()
        far = wanted > rating(images, name).double().quantile(0.99)
        correlation, beyond = _correlation(own, wanted), _correlation(own[far], wanted[far])
    headroom = (best - mean) / spread if spread > 0 else float("nan")
    return Headroom(mean, spread, best, headroom, correlation, beyond)


def own_drawings(prompts: Sequence[str]) -> tuple[torch.Tensor, list[str]]:
    """Drawings of the kind that the reward of these prompts was trained on, and their prompts:
    words for prompts that quote a word, else drawings of all captions."""
    rng = np.random.default_rng(0)
    if '"' in prompts[0]:
        chosen = [word for word in words.WORDS for _ in range(DRAWINGS)]
        strengths = rng.uniform(0, 1, (len(chosen), words.WORD_LENGTH)).astype(np.float32)
        return words.draw_words(chosen, rng, strengths), [words.prompt(word) for word in chosen]
    return draw_captions(DRAWINGS, rng).flatten(0, 1), list(np.repeat(drawing.CAPTIONS, DRAWINGS))


def _correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return torch.corrcoef(torch.stack([a, b]))[0, 1].item() if len(a) > 2 else float("nan")
