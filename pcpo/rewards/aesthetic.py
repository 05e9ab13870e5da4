"""LAION aesthetic score, as DDPO uses it: a linear head on CLIP's image embedding, about 1 to 10.

Source: christophschuhmann/improved-aesthetic-predictor, kvablack/ddpo-pytorch aesthetic_scorer.py.
The prompt is ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from pcpo.rewards import _base
from pcpo.rewards._clip import ClipEmbedder
from pcpo.rewards._files import read_state_dict, require_file, require_folder
from pcpo.rewards._linear_chain import chain_from_state_dict


class Reward(_base.Reward):
    """head(e / |e|) for the projected CLIP image embedding e, in fp32.

    Args:
        path: folder with `backbone/`, a transformers CLIPModel (`openai/clip-vit-large-patch14`),
            and the head's weights.
        device: torch device.
        head: file name of the head, safetensors or the published
            `sac+logos+ava1-l14-linearMSE.pth`; its shapes are read from the file.
        jpeg_quality: score the image after JPEG compression.
        batch_size: images per forward pass.
    """

    def __init__(
        self,
        path: str | Path,
        device: str = "cpu",
        head: str = "head.safetensors",
        jpeg_quality: int | None = None,
        batch_size: int = 64,
    ):
        super().__init__(batch_size, jpeg_quality)
        folder = require_folder(path, "backbone/ and an aesthetic head")
        file = require_file(folder / head, "the weights of the aesthetic head")
        self.clip = ClipEmbedder(folder / "backbone", device)
        self.head = chain_from_state_dict(read_state_dict(file), file).to(device)

    def _score(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """About 1 to 10; the prompts are ignored."""
        return self.head(self.clip.images(images))
