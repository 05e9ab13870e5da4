"""A CLIP tuned on choices between two images of one caption: what PickScore and HPS are.

Choices follow a noisy synthetic rating of the drawings (`captioned.appeal`).
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch.nn import functional
from transformers import CLIPModel, CLIPTokenizer

from pcpo.synthetic import drawing
from pcpo.synthetic.captioned import CaptionedDrawings, clip_normalised, draw_captions, pad_tokens
from pcpo.synthetic.clip import contrastive_loss, embed
from pcpo.synthetic.pretraining import generators, warm_then_decay
from pcpo.synthetic.tokenizers import MAX_TOKENS

RATING_NOISE = 0.5  # standard deviation, in units of the appeal's
_SCALE = 30.0


def train_preference(
    base: CLIPModel, tokenizer: CLIPTokenizer, name: str, sizes: Mapping[str, Any], seed: int
) -> CLIPModel:
    """A copy of `base`, tuned with a logistic loss on pairs plus half the contrastive loss.

    `name` gives each reward its own drawings, raters and order of training. `sizes`: steps, batch
    (captions), drawings_per_caption.
    """
    rng, generator = generators(f"preference {name}", seed)
    drawings = draw_captions(sizes["drawings_per_caption"], rng)
    noise = torch.randn(drawings.appeal.shape, generator=generator)
    ratings = drawings.appeal + RATING_NOISE * noise
    tokens = pad_tokens(tokenizer, drawing.CAPTIONS, MAX_TOKENS)
    model = deepcopy(base).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    schedule = warm_then_decay(optimizer, sizes["steps"])
    for _ in range(sizes["steps"]):
        captions = torch.randperm(len(drawing.CAPTIONS), generator=generator)[: sizes["batch"]]
        a = torch.randint(ratings.shape[1], captions.shape, generator=generator)
        shift = torch.randint(1, ratings.shape[1], captions.shape, generator=generator)
        b = (a + shift) % ratings.shape[1]
        pair = torch.cat([drawings.images[captions, a], drawings.images[captions, b]])
        image, text = embed(model, pair, {key: value[captions] for key, value in tokens.items()})
        image_a, image_b = image.chunk(2)
        better = (ratings[captions, a] - ratings[captions, b]).sign()
        difference = ((image_a - image_b) * text).sum(dim=-1)
        loss = functional.softplus(-_SCALE * better * difference).mean()
        loss = loss + 0.5 * contrastive_loss(image_a, text, _SCALE)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


@torch.no_grad()
def pair_accuracy(
    model: CLIPModel,
    tokenizer: CLIPTokenizer,
    drawings: CaptionedDrawings,
    generator: torch.Generator,
    smallest_gap: float = 0.0,
) -> float:
    """Share of neighbouring pairs of one caption that are ordered as noisy raters do.

    Only pairs whose ratings differ by more than `smallest_gap`.
    """
    noise = torch.randn(drawings.appeal.shape, generator=generator)
    ratings = drawings.appeal + RATING_NOISE * noise
    tokens = pad_tokens(tokenizer, drawing.CAPTIONS, MAX_TOKENS)
    image = model.get_image_features(pixel_values=clip_normalised(drawings.images.flatten(0, 1)))
    image = functional.normalize(image.pooler_output, dim=-1).unflatten(0, ratings.shape)
    text = functional.normalize(model.get_text_features(**tokens).pooler_output, dim=-1)
    scores = (image * text[:, None]).sum(dim=-1)
    gap = (ratings[:, 1:] - ratings[:, :-1]).flatten()
    found = (scores[:, 1:] - scores[:, :-1]).flatten()
    wide = gap.abs() > smallest_gap
    return (found.sign() == gap.sign())[wide].float().mean().item()
