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
from pcpo.synthetic.captioned import clip_normalised, draw_captions
from pcpo.synthetic.clip import save_clip
from pcpo.synthetic.pretraining import Training, generators
from pcpo.synthetic.raters import rating

# Scores lie around 5, as LAION's do, and a rating point (`pcpo.synthetic.raters`) is worth a half.
CENTRE, POINT = 5.0, 0.5
RATING_NOISE = 0.25


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
    images = draw_captions(sizes["drawings_per_caption"], rng).flatten(0, 1)
    ratings = noisy_ratings(images, generator)
    backbone = _tune(clip, images, ratings - CENTRE, sizes, generator)
    x, y = embeddings(backbone, images), ratings.double()
    mean = x.mean(dim=0)
    centred = x - mean
    gram = centred.T @ centred + sizes["ridge"] * torch.eye(x.shape[1], dtype=torch.float64)
    weight = torch.linalg.solve(gram, centred.T @ (y - y.mean()))
    bias = y.mean() - mean @ weight
    head = {"layers.0.weight": weight[None].float(), "layers.0.bias": bias[None].float()}
    return backbone, head


def _tune(
    clip: CLIPModel,
    images: torch.Tensor,
    wanted: torch.Tensor,
    sizes: Mapping[str, Any],
    generator: torch.Generator,
) -> CLIPModel:
    """Least squares through a linear map that is thrown away afterwards."""
    model = deepcopy(clip)
    head = torch.nn.Linear(clip.visual_projection.out_features, 1)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    tuned = [model.vision_model, model.visual_projection, head]
    training = Training(tuned, sizes["steps"], learning_rate=5e-3)
    for _ in range(sizes["steps"]):
        rows = torch.randint(len(images), (sizes["batch"],), generator=generator)
        features = model.get_image_features(pixel_values=clip_normalised(images[rows]))
        found = head(functional.normalize(features.pooler_output, dim=-1))[:, 0]
        training.step(functional.mse_loss(found, wanted[rows]))
    training.average.swap()
    return model.eval()


def noisy_ratings(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """float32 (N,): what one rater gives each image."""
    noise = torch.randn(len(images), generator=generator)
    return CENTRE + POINT * rating(images, "aesthetic") + RATING_NOISE * noise


@torch.no_grad()
def embeddings(clip: CLIPModel, images: torch.Tensor) -> torch.Tensor:
    """uint8 (N, 3, 32, 32) -> unit-length float64 (N, d)."""
    features = clip.get_image_features(pixel_values=clip_normalised(images)).pooler_output
    return functional.normalize(features, dim=-1).double()


def save_aesthetic(
    clip: CLIPModel, tokenizer: CLIPTokenizer, head: dict[str, torch.Tensor], folder: Path
) -> None:
    """backbone/ and head.safetensors."""
    with new_folder(folder) as part:
        save_clip(clip, tokenizer, part / "backbone")
        save_file(head, part / "head.safetensors")
