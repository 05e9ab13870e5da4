"""The demo's quality network: a small classifier of colour, shape and activity, and its features.

It replaces Inception, DINOv2 and LPIPS where the images are 32 x 32 drawings: one network
gives the embedding of the Frechet distance, the class probabilities of the Inception score and the
layers of the perceptual distance. `pcpo.synthetic.quality_network` trains it.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from pcpo.features import check_images, float32_convolutions


class QualityNetwork(nn.Module):
    """Four convolutions (maps of 16, 8, 4 and 4 pixels), a global mean, three linear heads."""

    def __init__(
        self,
        channels: tuple[int, int, int, int] = (24, 48, 64, 64),
        classes: tuple[int, ...] = (5, 9, 4),
    ) -> None:
        super().__init__()
        self.channels, self.classes = channels, classes
        inputs = (3, *channels[:-1])
        strides = (2, 2, 2, 1)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, stride=stride, padding=1),
                nn.GroupNorm(8, after),
                nn.SiLU(),
            )
            for before, after, stride in zip(inputs, channels, strides, strict=True)
        )
        self.embed = nn.Linear(channels[-1] * 4, 64)
        self.heads = nn.ModuleList(nn.Linear(64, count) for count in classes)

    def maps(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """Float (B, 3, 32, 32) in [-1, 1] -> the four layers' outputs."""
        outputs = []
        for layer in self.layers:
            pixels = layer(pixels)
            outputs.append(pixels)
        return outputs

    def pool(self, last_map: torch.Tensor) -> torch.Tensor:
        """(B, C, 4, 4) -> (B, 64): the quadrants' means keep a coarse sense of place."""
        quadrants = functional.adaptive_avg_pool2d(last_map, 2).flatten(1)
        return functional.silu(self.embed(quadrants))

    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        """Logits of colour (B, 5), shape (B, 9) and activity (B, 4; the last is none)."""
        pooled = self.pool(self.maps(pixels)[-1])
        return [head(pooled) for head in self.heads]


def load_network(path: str | Path) -> QualityNetwork:
    """The network in the folder `path` (config.json, model.safetensors), in evaluation mode."""
    folder = Path(path)
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder / name} is missing; "
                "`python -m pcpo.cli.synthetic quality_network` trains it."
            )
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    network = QualityNetwork(tuple(config["channels"]), tuple(config["classes"]))
    network.load_state_dict(load_file(folder / "model.safetensors"))
    return network.eval()


class Features:
    """uint8 images (B, 3, 32, 32) -> arrays, all float32:

    - `pooled` (B, 64): the embedding before the heads, for the Frechet distance.
    - `middle` (B, 112): spatial means of the second and third layer, a second feature space.
    - `logits` (B, 180): log-probabilities of the joint class, colour-major, then shape, then
      activity, of which none is the last; their exponentials sum to 1.
    - `perceptual` (B, P): vectors whose squared Euclidean distance is an LPIPS-style distance
      (unit-length channels at each place of the first three layers, averaged over places).

    Raises ValueError for other images, FileNotFoundError where the weights are missing.
    """

    outputs = ("pooled", "middle", "logits", "perceptual")
    digest = ""

    def __init__(
        self,
        path: str | Path,
        device: str = "cpu",
        outputs: Collection[str] | None = None,
        batch_size: int = 256,
    ) -> None:
        self.device = torch.device(device)
        self.network = load_network(path).to(self.device)
        self.wanted = self.outputs if outputs is None else tuple(outputs)
        self.batch_size = batch_size

    @torch.no_grad()
    def __call__(self, images: torch.Tensor) -> dict[str, np.ndarray]:
        check_images(images)
        if images.shape[2:] != (32, 32):
            raise ValueError(
                f"The quality network takes 32 x 32 images, not {tuple(images.shape[2:])}."
            )
        with float32_convolutions():
            batches = [self._batch(part) for part in images.split(self.batch_size)]
        return {name: np.concatenate([batch[name] for batch in batches]) for name in self.wanted}

    def _batch(self, images: torch.Tensor) -> dict[str, np.ndarray]:
        maps = self.network.maps(images.to(self.device).float() / 127.5 - 1)
        pooled = self.network.pool(maps[-1])
        colour, shape, activity = (head(pooled).log_softmax(dim=1) for head in self.network.heads)
        joint = colour[:, :, None, None] + shape[:, None, :, None] + activity[:, None, None, :]
        perceptual = [
            functional.normalize(m, dim=1, eps=1e-10).flatten(1) / (m.shape[2] * m.shape[3]) ** 0.5
            for m in maps[:3]
        ]
        outputs = {
            "pooled": pooled,
            "middle": torch.cat([maps[1].mean(dim=(2, 3)), maps[2].mean(dim=(2, 3))], dim=1),
            "logits": joint.flatten(1),
            "perceptual": torch.cat(perceptual, dim=1),
        }
        return {name: outputs[name].cpu().numpy() for name in self.wanted}
