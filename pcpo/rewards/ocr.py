"""How well an image renders the text that its prompt quotes (Flow-GRPO, flow_grpo/ocr.py).

reward = 1 - d / len(target), with the target between the first pair of double quotes, both texts
lower-cased and without spaces, d = 0 if the target occurs in what was read, else the Levenshtein
distance, at most len(target).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from rapidfuzz.distance import Levenshtein

from pcpo.prompts.needs import quoted_text
from pcpo.rewards import _base
from pcpo.rewards._files import require_folder


class Reader(Protocol):
    """What an OCR engine offers."""

    def read(self, images: torch.Tensor) -> list[str]:
        """uint8 (B, 3, H, W) RGB -> B strings; "" where nothing was found."""
        ...


class Reward(_base.Reward):
    """Reads the image with an OCR engine.

    Args:
        path: folder of the demo's recogniser (config.json, model.safetensors); not used
            with `engine="rapidocr"`.
        device: torch device of the recogniser.
        engine: "recogniser" or "rapidocr".
        channels: order in which RapidOCR gets the channels, see `RapidOcr`.
        jpeg_quality: read the image after JPEG compression.
        batch_size: images per forward pass.

    Attributes:
        engine: name of the engine with version and models, to be reported with every score.
    """

    def __init__(
        self,
        path: str | Path,
        device: str = "cpu",
        engine: str = "rapidocr",
        channels: str = "rgb",
        jpeg_quality: int | None = None,
        batch_size: int = 256,
    ):
        super().__init__(batch_size, jpeg_quality)
        if engine == "rapidocr":
            from pcpo.rewards._rapid_ocr import RapidOcr

            reader = RapidOcr(channels)
            self.reader: Reader = reader
            self.engine = reader.name
        elif engine == "recogniser":
            from pcpo.rewards._recogniser import load_recogniser

            folder = require_folder(path, "the recogniser of synthetic data")
            self.reader = load_recogniser(folder).to(device)
            self.engine = engine
        else:
            raise ValueError(f"engine must be 'rapidocr' or 'recogniser', not '{engine}'.")

    def _score(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """In [0, 1]; ValueError for a prompt that `quoted_text` refuses."""
        targets = [quoted_text(prompt) for prompt in prompts]
        pairs = zip(self.reader.read(images), targets, strict=True)
        return torch.tensor([similarity(read, target) for read, target in pairs])


def similarity(read: str, target: str) -> float:
    """1 where `target` was read, 0 where nothing of it was; see the module's formula."""
    read, target = (text.replace(" ", "").lower() for text in (read, target))
    distance = 0 if target in read else min(Levenshtein.distance(read, target), len(target))
    return 1 - distance / len(target)
