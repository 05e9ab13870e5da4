"""A CLIP tuned on choices between two images of one caption: what PickScore and HPS are."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch.nn import functional
from transformers import CLIPModel, CLIPTokenizer

from pcpo.synthetic import drawing
from pcpo.synthetic.captioned import draw_captions, pad_tokens
from pcpo.synthetic.choices import draw_choices
from pcpo.synthetic.clip import contrastive_loss, embed
from pcpo.synthetic.pretraining import Training, generators
from pcpo.synthetic.tokenizers import MAX_TOKENS

_SCALE = 60.0  # rating points per unit of the cosine
_CONTRASTIVE = 0.05  # weight of the contrastive loss


def train_preference(
    base: CLIPModel, tokenizer: CLIPTokenizer, name: str, sizes: Mapping[str, Any], seed: int
) -> CLIPModel:
    """A copy of `base`: logistic loss on choices, and a little of the contrastive loss.

    `name` is the reward, which has its own drawings, raters and order of training. `sizes`: steps,
    batch (captions), drawings_per_caption.
    """
    rng, generator = generators(f"preference {name}", seed)
    images = draw_captions(sizes["drawings_per_caption"], rng)
    tokens = pad_tokens(tokenizer, drawing.CAPTIONS, MAX_TOKENS)
    model = deepcopy(base)
    training = Training([model], sizes["steps"], learning_rate=5e-3)
    for _ in range(sizes["steps"]):
        captions = torch.randperm(len(drawing.CAPTIONS), generator=generator)[: sizes["batch"]]
        first, second, share = draw_choices(images, name, captions, generator)
        texts = {key: value[captions] for key, value in tokens.items()}
        image, text = embed(model, torch.cat([first, second]), texts)
        image_a, image_b = image.chunk(2)
        gap = _SCALE * ((image_a - image_b) * text).sum(dim=-1)
        loss = functional.binary_cross_entropy_with_logits(gap, share)
        loss = loss + _CONTRASTIVE * contrastive_loss(image_a, text, _SCALE)
        training.step(loss)
    training.average.swap()
    return model.eval()
