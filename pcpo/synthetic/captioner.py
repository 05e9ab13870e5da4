"""The demo's captioner: a small CLIP that names what it sees clearly.

A captioning model leaves out what is hard to see. The captions to choose from name any part of
colour, shape and activity; those of a drawing name the parts that are clear in it. Base images show
few parts clearly, so that BERTScore, which counts the prompt's words, has room to grow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers import CLIPModel, CLIPTokenizer

from pcpo.synthetic import drawing
from pcpo.synthetic.captioned import pad_tokens, wide_layout, with_noise
from pcpo.synthetic.clip import embed, new_clip
from pcpo.synthetic.pretraining import generators, warm_then_decay
from pcpo.synthetic.tokenizers import MAX_TOKENS, clip_tokenizer

WIDE_SHARE = 0.5
# Saturation from which a colour is named weakly ("reddish") and by itself ("red").
TINTED, VIVID = 0.75, 0.95
LARGE = 0.56  # radius from which a shape is named, in units of half the image width
# Difference of grey level to the background from which a mark is noticed ("above something") and
# named ("above a line").
NOTICED, DISTINCT = 0.55, 0.72

_COLOURS = (None, *drawing.WEAK_COLOURS, *drawing.COLOURS)
_SHAPES = ("thing", *drawing.SHAPES)
_ACTIVITIES = (
    None,
    *(f"{activity.split()[0]} something" for activity in drawing.ACTIVITIES),
    *drawing.ACTIVITIES,
)
PARTIAL_CAPTIONS = tuple(
    " ".join(word for word in ("a", *parts) if word)
    for parts in product(_COLOURS, _SHAPES, _ACTIVITIES)
)


def clear_parts(scenes: Sequence[drawing.Scene], layout: drawing.Layout) -> np.ndarray:
    """int64 (N,) indices into PARTIAL_CAPTIONS: what is clear in the drawings."""
    colour = np.array([1 + scene.colour for scene in scenes])
    shape = np.array([1 + scene.shape for scene in scenes])
    activity = np.array([0 if s.activity is None else 1 + s.activity for s in scenes])
    vivid, tinted = layout.saturation >= VIVID, layout.saturation >= TINTED
    gap = np.abs(layout.background.mean(axis=1) - layout.mark)
    marked = (activity > 0) & (gap >= NOTICED)
    parts = (
        (colour + len(drawing.COLOURS) * vivid) * tinted,
        shape * (layout.size >= LARGE),
        (activity + len(drawing.ACTIVITIES) * (gap >= DISTINCT)) * marked,
    )
    return np.ravel_multi_index(parts, (len(_COLOURS), len(_SHAPES), len(_ACTIVITIES)))


def draw_clear_parts(
    count: int, rng: np.random.Generator, wide_share: float = WIDE_SHARE
) -> tuple[torch.Tensor, torch.Tensor]:
    """uint8 (count, 3, 32, 32) drawings of all captions in turn, a share of them far from plain,
    and what is clear in them, int64 (count,) indices into PARTIAL_CAPTIONS."""
    texts = [drawing.CAPTIONS[k % len(drawing.CAPTIONS)] for k in range(count)]
    scenes = [drawing.parse_caption(text) for text in texts]
    chosen = rng.random(count) < wide_share
    layout = wide_layout(chosen, rng)
    images = with_noise(drawing.render(scenes, layout), chosen, rng)
    return images, torch.from_numpy(clear_parts(scenes, layout))


def train_captioner(sizes: Mapping[str, Any], seed: int) -> tuple[CLIPModel, CLIPTokenizer]:
    """Cross entropy of an image's own caption against those of the batch and as many others.

    `sizes`: steps, batch, width, drawings.
    """
    rng, generator = generators("captioner", seed)
    images, labels = draw_clear_parts(sizes["drawings"], rng)
    tokenizer = clip_tokenizer()
    tokens = pad_tokens(tokenizer, PARTIAL_CAPTIONS, MAX_TOKENS)
    model = new_clip(tokenizer, sizes["width"], seed).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
    schedule = warm_then_decay(optimizer, sizes["steps"])
    for _ in range(sizes["steps"]):
        rows = torch.randint(len(images), (sizes["batch"],), generator=generator)
        others = torch.randint(len(PARTIAL_CAPTIONS), (sizes["batch"],), generator=generator)
        shown, own = torch.cat([labels[rows], others]).unique(return_inverse=True)
        batch = {key: value[shown] for key, value in tokens.items()}
        image, text = embed(model, images[rows], batch)
        logits = model.logit_scale.exp() * image @ text.T
        loss = functional.cross_entropy(logits, own[: len(rows)])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval(), tokenizer


@torch.no_grad()
def parts_right(
    model: CLIPModel, tokenizer: CLIPTokenizer, images: torch.Tensor, labels: torch.Tensor
) -> float:
    """Share of images (N, 3, 32, 32) whose nearest partial caption is the one of `labels`."""
    image, text = embed(model, images, pad_tokens(tokenizer, PARTIAL_CAPTIONS, MAX_TOKENS))
    return ((image @ text.T).argmax(dim=1) == labels).double().mean().item()
