"""The demo's aesthetic head: ridge regression of synthetic ratings on CLIP embeddings.

An affine map, as LAION's head is in evaluation, saved as a chain of one linear layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch.nn import functional
from transformers import CLIPModel, CLIPTokenizer

from pcpo.records.replace import new_folder
from pcpo.synthetic.captioned import CaptionedDrawings, clip_normalised, draw_captions
from pcpo.synthetic.clip import save_clip
from pcpo.synthetic.pretraining import generators, warm_then_decay

CENTRE = 5.0  # ratings lie around 5, as the LAION score does
RATING_NOISE = 0.5


def train_aesthetic(
    clip: CLIPModel, sizes: Mapping[str, Any], seed: int
) -> tuple[CLIPModel, dict[str, torch.Tensor]]:
    """A backbone and the head layers.0.weight (1, d), layers.0.bias (1,).

    LAION's backbone stays as it was trained, on pictures of all sorts. A CLIP that saw only these
    captions has no reason to keep what they leave open, so the image tower is tuned on ratings for
    a few steps before the head is fitted in closed form. `sizes`: steps, batch,
    drawings_per_caption, ridge.
    """
    rng, generator = generators("aesthetic", seed)
    drawings = draw_captions(sizes["drawings_per_caption"], rng)
    ratings = noisy_ratings(drawings, generator)
    backbone = _tune(clip, drawings, ratings - CENTRE, sizes, generator)
    x, y = embeddings(backbone, drawings.images), ratings.flatten().double()
    mean = x.mean(dim=0)
    centred = x - mean
    gram = centred.T @ centred + sizes["ridge"] * torch.eye(x.shape[1], dtype=torch.float64)
    weight = torch.linalg.solve(gram, centred.T @ (y - y.mean()))
    bias = y.mean() - mean @ weight
    head = {"layers.0.weight": weight[None].float(), "layers.0.bias": bias[None].float()}
    return backbone, head


def _tune(
    clip: CLIPModel,
    drawings: CaptionedDrawings,
    centred_ratings: torch.Tensor,
    sizes: Mapping[str, Any],
    generator: torch.Generator,
) -> CLIPModel:
    """Least squares through a linear map that is thrown away afterwards."""
    model = deepcopy(clip).train()
    weight = torch.zeros(clip.visual_projection.out_features, requires_grad=True)
    tuned = [*model.vision_model.parameters(), *model.visual_projection.parameters(), weight]
    optimizer = torch.optim.AdamW(tuned, lr=1e-3, weight_decay=0.01)
    schedule = warm_then_decay(optimizer, sizes["steps"])
    images, wanted = drawings.images.flatten(0, 1), centred_ratings.flatten()
    for _ in range(sizes["steps"]):
        rows = torch.randint(len(images), (sizes["batch"],), generator=generator)
        features = model.get_image_features(pixel_values=clip_normalised(images[rows]))
        found = functional.normalize(features.pooler_output, dim=-1) @ weight
        loss = functional.mse_loss(found, wanted[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def noisy_ratings(drawings: CaptionedDrawings, generator: torch.Generator) -> torch.Tensor:
    """float32 (180, n): what one rater gives each drawing."""
    noise = torch.randn(drawings.appeal.shape, generator=generator)
    return CENTRE + drawings.appeal + RATING_NOISE * noise


@torch.no_grad()
def embeddings(clip: CLIPModel, images: torch.Tensor) -> torch.Tensor:
    """uint8 (180, n, 3, 32, 32) -> unit-length float64 (180 n, d)."""
    pixels = clip_normalised(images.flatten(0, 1))
    features = clip.get_image_features(pixel_values=pixels).pooler_output
    return functional.normalize(features, dim=-1).double()


def correlation(
    clip: CLIPModel,
    head: Mapping[str, torch.Tensor],
    drawings: CaptionedDrawings,
    generator: torch.Generator,
) -> float:
    """Pearson's r of scores and noisy ratings."""
    scores = embeddings(clip, drawings.images) @ head["layers.0.weight"][0].double()
    ratings = noisy_ratings(drawings, generator).flatten().double()
    return torch.corrcoef(torch.stack([scores, ratings]))[0, 1].item()


def save_aesthetic(
    clip: CLIPModel, tokenizer: CLIPTokenizer, head: dict[str, torch.Tensor], folder: Path
) -> None:
    """backbone/ and head.safetensors."""
    with new_folder(folder) as part:
        save_clip(clip, tokenizer, part / "backbone")
        save_file(head, part / "head.safetensors")
