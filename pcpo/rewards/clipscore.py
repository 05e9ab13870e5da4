"""CLIPScore as in Table 5 (0.365 for SD1.4): the raw cosine of a large open_clip model.

Not the 2.5 max(cos, 0) of Hessel et al. (2021): the published value and DanceGRPO's and MixGRPO's
code (fastvideo/models/reward_model/clip_score.py) point to apple/DFN5B-CLIP-ViT-H-14-378.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from open_clip.transform import PreprocessCfg, image_transform_v2

from pcpo.rewards import _base
from pcpo.rewards._open_clip import OpenClipScorer
from pcpo.rewards._pixels import pil_images


class Reward(_base.Reward):
    """Cosine of image and prompt; no factor, no prefix before the prompt.

    Args:
        path: open_clip `local-dir` folder: open_clip_config.json, weights and, if the
            configuration names one, a tokenizer (`apple/DFN5B-CLIP-ViT-H-14-378`).
        device: torch device.
        jpeg_quality: score the image after JPEG compression.
        half: autocast to fp16.
        batch_size: images per forward pass.
    """

    def __init__(
        self,
        path: str | Path,
        device: str = "cpu",
        jpeg_quality: int | None = None,
        half: bool = False,
        batch_size: int = 64,
    ):
        super().__init__(batch_size, jpeg_quality)
        self.scorer = OpenClipScorer(path, device, half=half)
        # The model's published preprocessing squashes to a square (PIL bicubic), without a crop.
        config = self.scorer.preprocess_config | {"resize_mode": "squash"}
        self.preprocess = image_transform_v2(PreprocessCfg(**config), is_train=False)

    def _score(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """In [-1, 1]."""
        pixels = torch.stack([self.preprocess(image) for image in pil_images(images)])
        return self.scorer.cosine(pixels, prompts)
