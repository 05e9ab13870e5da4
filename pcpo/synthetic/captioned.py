"""Drawings grouped by caption, for the small reward models, far more varied than plain drawings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from pcpo.synthetic import drawing

WIDE_SHARE = 0.6


def draw_captions(
    per_caption: int, rng: np.random.Generator, wide_share: float = WIDE_SHARE
) -> torch.Tensor:
    """uint8 (180, per_caption, 3, 32, 32): drawings of all captions, a share far from plain ones.

    What a reward model saw decides what it can grade, and training moves images far from plain
    drawings. So a share `wide_share` has other layouts, borders and noise.
    """
    scenes = [drawing.parse_caption(text) for text in drawing.CAPTIONS for _ in range(per_caption)]
    chosen = rng.random(len(scenes)) < wide_share
    images = drawing.render(scenes, wide_layout(chosen, rng))
    images = with_noise(with_border(images, chosen, rng), chosen, rng)
    return images.unflatten(0, (len(drawing.CAPTIONS), per_caption))


def wide_layout(chosen: np.ndarray, rng: np.random.Generator) -> drawing.Layout:
    """Layouts as `drawing.draw` takes them; those that are `chosen`, bool (N,), differ far more.

    Backgrounds from black to white, of any tint; shapes from grey to more than full colour, from
    small to larger than the image, off the centre.
    """
    count = len(chosen)
    layout = drawing.sample_layout(count, rng)

    def uniform(low: float, high: float, *shape: int) -> np.ndarray:
        return rng.uniform(low, high, (count, *shape)).astype(np.float32)

    wide = {
        "centre": uniform(-0.3, 0.3, 2),
        "size": uniform(0.3, 1.1),
        "saturation": uniform(0.0, 1.8),
        "brightness": uniform(0.3, 1.2),
        "background": uniform(0.0, 1.0, 1) + uniform(0.0, 1.0, 1) * uniform(-0.4, 0.4, 3),
        "gradient": uniform(-0.3, 0.3, 2),
        "mark": uniform(0.0, 1.0),
    }
    plain = {name: getattr(layout, name) for name in wide}
    mixed = {
        name: np.where(chosen.reshape(-1, *[1] * (value.ndim - 1)), value, plain[name])
        for name, value in wide.items()
    }
    return replace(layout, **mixed)


def with_border(images: torch.Tensor, chosen: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """Half of the chosen images get a border of 1 to 8 pixels, more or less dark and opaque."""
    count, size = len(images), drawing.IMAGE_SIZE
    framed = chosen & (rng.random(count) < 0.5)
    width = rng.integers(1, 9, count)
    level = rng.uniform(0, 0.5, count).astype(np.float32)
    opacity = rng.uniform(0.2, 1, count).astype(np.float32) * framed
    from_edge = np.minimum(np.arange(size), np.arange(size)[::-1])
    depth = np.minimum(from_edge[:, None], from_edge[None, :])
    cover = torch.from_numpy((depth < width[:, None, None]) * opacity[:, None, None])[:, None]
    grey = 255 * torch.from_numpy(level)[:, None, None, None]
    return (images.float() * (1 - cover) + grey * cover).round().to(torch.uint8)


def with_noise(images: torch.Tensor, chosen: np.ndarray, rng: np.random.Generator) -> torch.Tensor:
    """Gaussian noise on the chosen images, of a standard deviation up to 0.1 of the full range."""
    strength = (rng.uniform(0, 25, len(images)) * chosen).astype(np.float32)
    noise = rng.standard_normal(images.shape, dtype=np.float32) * strength[:, None, None, None]
    return (images.float() + torch.from_numpy(noise)).round().clamp(0, 255).to(torch.uint8)


@cache
def one_attribute_wrong() -> list[list[list[int]]]:
    """[caption][attribute: colour, shape, activity] -> captions that differ in it alone."""
    scenes = [drawing.parse_caption(text) for text in drawing.CAPTIONS]
    attributes = [(scene.colour, scene.shape, scene.activity) for scene in scenes]
    table = []
    for own in attributes:
        differing = [[k for k in range(3) if other[k] != own[k]] for other in attributes]
        table.append([[j for j, d in enumerate(differing) if d == [k]] for k in range(3)])
    return table


def clip_normalised(images: torch.Tensor) -> torch.Tensor:
    """uint8 (..., 3, 32, 32) -> float32 as CLIP's preprocessing makes of images of its own size."""
    mean = torch.tensor(OPENAI_CLIP_MEAN).view(3, 1, 1)
    std = torch.tensor(OPENAI_CLIP_STD).view(3, 1, 1)
    return (images.float() / 255 - mean) / std


def pick(
    drawings: torch.Tensor, captions: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """One random drawing for each caption index: (180, n, ...) and (B,) -> (B, ...)."""
    rows = torch.randint(drawings.shape[1], captions.shape, generator=generator)
    return drawings[captions, rows]


def pad_tokens(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], length: int
) -> dict[str, torch.Tensor]:
    """input_ids and attention_mask, int64 (N, length)."""
    tokens = tokenizer(
        list(texts), padding="max_length", truncation=True, max_length=length, return_tensors="pt"
    )
    return {key: tokens[key] for key in ("input_ids", "attention_mask")}
