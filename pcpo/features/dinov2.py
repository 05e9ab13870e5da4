"""DINOv2 ViT-L/14 as dgm-eval runs it: features of FD-DINOv2 (Stein et al. 2023, 2306.04675).

The weights come from the hub folder `facebook/dinov2-large`. dgm-eval takes the network from
torch.hub, which differs in one place: at 224 pixels the position embeddings of 37 x 37 patches are
interpolated to 16 x 16 with the scale factor (16 + 0.1) / 37 in place of the size 16 (bicubic, not
antialiased). That is done here once, when the weights are read.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from transformers import Dinov2Model

from pcpo.features import check_images, float32_convolutions

SIZE = 224
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's
INTERPOLATE_OFFSET = 0.1  # of the hub's model


class Features:
    """uint8 images (B, 3, H, W) of any size -> `cls` float32 (B, 1024).

    The class token after the last LayerNorm (the hub's `x_norm_clstoken`). Images are resized to
    224 x 224, whatever their shape, by Pillow (bicubic, antialiased, uint8), scaled to [0, 1] and
    normalised with ImageNet's mean and standard deviation.

    `path` is a folder with `config.json` and `model.safetensors` in transformers' layout. Raises
    ValueError for other images or weights, FileNotFoundError where they are missing.
    """

    outputs = ("cls",)
    digest = ""

    def __init__(
        self, path: str | Path, device: str = "cpu", outputs: Collection[str] | None = None
    ) -> None:
        for name in ("config.json", "model.safetensors"):
            if not (Path(path) / name).is_file():
                raise FileNotFoundError(
                    f"{Path(path) / name} is missing; {path} should hold facebook/dinov2-large"
                )
        network, report = Dinov2Model.from_pretrained(
            path, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        if report["missing_keys"]:
            raise ValueError(
                f"{path}: the weights lack {sorted(report['missing_keys'])[0]} and "
                f"{len(report['missing_keys']) - 1} more; they are not a Dinov2Model's"
            )
        embeddings = network.embeddings
        embeddings.position_embeddings = nn.Parameter(
            hub_position_embeddings(
                embeddings.position_embeddings.detach(), SIZE // network.config.patch_size
            ),
            requires_grad=False,
        )
        self.device = torch.device(device)
        self.network = network.float().eval().to(self.device)

    @torch.no_grad()
    def __call__(self, images: torch.Tensor) -> dict[str, np.ndarray]:
        check_images(images)
        pixels = preprocess(images).to(self.device)
        with float32_convolutions():
            states = self.network(pixel_values=pixels).last_hidden_state
        return {"cls": states[:, 0].cpu().numpy()}


def preprocess(images: torch.Tensor) -> torch.Tensor:
    """uint8 (B, 3, H, W) -> float32 (B, 3, 224, 224), as dgm-eval's torchvision transforms do."""
    arrays = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    small = [
        np.asarray(Image.fromarray(array).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
        for array in arrays
    ]
    pixels = torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).contiguous().float() / 255
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    return (pixels - mean) / std


def hub_position_embeddings(embeddings: torch.Tensor, patches: int) -> torch.Tensor:
    """(1, 1 + M * M, d), the class token first -> (1, 1 + patches ** 2, d), as torch.hub's model.

    The network takes them as they are where their number fits the image.
    """
    count = embeddings.shape[1] - 1
    side = round(count**0.5)
    if side == patches:
        return embeddings
    grid = embeddings[:, 1:].float().reshape(1, side, side, -1).permute(0, 3, 1, 2)
    scale = (patches + INTERPOLATE_OFFSET) / side
    grid = functional.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
    if grid.shape[-2:] != (patches, patches):
        raise ValueError(
            f"position embeddings of {side} x {side} patches cannot be interpolated to "
            f"{patches} x {patches}"
        )
    return torch.cat([embeddings[:, :1], grid.permute(0, 2, 3, 1).flatten(1, 2)], dim=1)
