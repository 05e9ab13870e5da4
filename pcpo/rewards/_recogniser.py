"""A small network that reads one short word off an image: the demo's OCR engine."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from pcpo.rewards._files import require_file


class Recogniser(nn.Module):
    """Four convolutions, then one softmax over the alphabet and "no letter" per position.

    Args:
        letters: the alphabet, upper case.
        positions: the longest word that it reads.
        image_size: side of the square images in pixels, a multiple of 8.
        width: channels of the first layer.
    """

    def __init__(self, letters: str, positions: int, image_size: int = 32, width: int = 32):
        super().__init__()
        self.config = {
            "letters": letters,
            "positions": positions,
            "image_size": image_size,
            "width": width,
        }
        self.letters, self.positions, self.image_size = letters, positions, image_size
        channels = (3, width, width, 2 * width, 2 * width)
        strides = (1, 2, 2, 2)
        layers: list[nn.Module] = []
        for inputs, outputs, stride in zip(channels[:-1], channels[1:], strides, strict=True):
            layers += [nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.GELU()]
        self.convolutions = nn.Sequential(*layers)
        features = channels[-1] * (image_size // 8) ** 2
        self.output = nn.Linear(features, positions * (len(letters) + 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 (B, 3, H, W) -> logits (B, positions, letters + 1); the last class is a blank."""
        pixels = images.to(self.output.weight.dtype) / 127.5 - 1
        features = self.convolutions(pixels).flatten(1)
        return self.output(features).unflatten(1, (self.positions, len(self.letters) + 1))

    @torch.no_grad()
    def read(self, images: torch.Tensor) -> list[str]:
        """uint8 (B, 3, H, W) -> B words; "" where there is none."""
        if images.shape[-2:] != (self.image_size, self.image_size):
            raise ValueError(
                f"This recogniser reads {self.image_size} px images, not {tuple(images.shape)}."
            )
        alphabet = [*self.letters, ""]
        classes = self(images.to(self.output.weight.device)).argmax(dim=-1).tolist()
        return ["".join(alphabet[index] for index in word) for word in classes]


def load_recogniser(folder: Path) -> Recogniser:
    """Read config.json and model.safetensors."""
    config = require_file(folder / "config.json", "the recogniser's configuration")
    weights = require_file(folder / "model.safetensors", "the recogniser's weights")
    recogniser = Recogniser(**json.loads(config.read_text(encoding="utf-8")))
    recogniser.load_state_dict(load_file(weights))
    return recogniser.eval()
