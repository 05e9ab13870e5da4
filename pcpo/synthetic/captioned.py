"""Drawings grouped by caption, for the small reward models, with ratings of their layouts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from pcpo.synthetic import drawing

VARIED_SHARE = 0.5  # see varied_layout


@dataclass(frozen=True)
class CaptionedDrawings:
    """`per_caption` drawings of each of the 180 captions.

    Attributes:
        images: uint8 (180, per_caption, 3, 32, 32).
        appeal: float32 (180, per_caption), see `appeal`; mean 0, standard deviation 1.
    """

    images: torch.Tensor
    appeal: torch.Tensor


def draw_captions(per_caption: int, rng: np.random.Generator) -> CaptionedDrawings:
    """Random drawings of all captions, half of them with layouts that differ more than usual."""
    scenes = [drawing.parse_caption(text) for text in drawing.CAPTIONS for _ in range(per_caption)]
    layout = varied_layout(len(scenes), rng, VARIED_SHARE)
    shape = (len(drawing.CAPTIONS), per_caption)
    images = drawing.render(scenes, layout).unflatten(0, shape)
    return CaptionedDrawings(images, torch.from_numpy(appeal(layout)).reshape(shape))


def varied_layout(count: int, rng: np.random.Generator, share: float) -> drawing.Layout:
    """Layouts as `drawing.draw` takes them, except for a share that differs more in what counts.

    Those have pale, small and displaced shapes too, as imperfect generated images have them: a
    reward that never saw them could not grade them.
    """
    layout = drawing.sample_layout(count, rng)
    chosen = rng.random(count) < share
    saturation = rng.uniform(0.1, 1.0, count).astype(np.float32)
    size = rng.uniform(0.35, 0.65, count).astype(np.float32)
    centre = rng.uniform(-0.25, 0.25, (count, 2)).astype(np.float32)
    return replace(
        layout,
        saturation=np.where(chosen, saturation, layout.saturation),
        size=np.where(chosen, size, layout.size),
        centre=np.where(chosen[:, None], centre, layout.centre),
    )


def appeal(layout: drawing.Layout) -> np.ndarray:
    """Synthetic rating of each drawing, float32 (N,): high where it is vivid, large, centred.

    z(saturation) + 0.7 z(area) - 0.7 z(distance from the centre), standardised.
    """

    def standardise(values: np.ndarray) -> np.ndarray:
        return (values - values.mean()) / values.std()

    off_centre = np.hypot(layout.centre[:, 0], layout.centre[:, 1])
    score = standardise(layout.saturation) + 0.7 * standardise(layout.size**2)
    return standardise(score - 0.7 * standardise(off_centre)).astype(np.float32)


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
