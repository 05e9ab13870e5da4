"""HPS v2 and v2.1 (Wu et al. 2023, arXiv 2306.09341): a ViT-H/14 CLIP tuned on human preferences.

The score is the plain cosine: no logit scale, no factor 100 (hpsv2/img_score.py). The two versions
differ in their weights alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn import functional

from pcpo.rewards import _base
from pcpo.rewards._open_clip import OpenClipScorer

CHECKPOINTS = {"v2.0": "HPS_v2_compressed.pt", "v2.1": "HPS_v2.1_compressed.pt"}


class Reward(_base.Reward):
    """HPS of an open_clip model.

    Args:
        path: folder with the published checkpoint (`xswu/HPSv2`), or an open_clip `local-dir`
            folder (open_clip_config.json, weights, tokenizer), which then has every setting.
        device: torch device.
        version: "v2.1" or "v2.0": which published checkpoint to read.
        jpeg_quality: score the image after JPEG compression (75 in DanceGRPO's SD trainer, after a
            resize to 512 x 512; that trainer also truncates to uint8 where all others round, half
            a grey level darker on average, which is not offered here).
        half: autocast to fp16 (the original on a GPU); False for evaluation.
        batch_size: images per forward pass.
    """

    def __init__(
        self,
        path: str | Path,
        device: str = "cpu",
        version: str = "v2.1",
        jpeg_quality: int | None = None,
        half: bool = False,
        batch_size: int = 64,
    ):
        super().__init__(batch_size, jpeg_quality)
        if version not in CHECKPOINTS:
            raise ValueError(f"version must be one of {', '.join(CHECKPOINTS)}, not '{version}'.")
        self.scorer = OpenClipScorer(path, device, "ViT-H-14", CHECKPOINTS[version], half)

    def _score(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """Cosines, about 0.2 to 0.4."""
        config = self.scorer.preprocess_config
        mean = torch.tensor(config["mean"]).view(3, 1, 1)
        std = torch.tensor(config["std"]).view(3, 1, 1)
        pixels = (letterbox(images.cpu(), self.scorer.image_size) - mean) / std
        return self.scorer.cosine(pixels, prompts)


def letterbox(images: torch.Tensor, size: int) -> torch.Tensor:
    """hpsv2's validation transform: uint8 (B, 3, H, W) -> float32 (B, 3, size, size) in about 0..1.

    Longer side to `size` by bicubic interpolation of *floats* with antialiasing (not clamped, so
    values overshoot a little), then black padding, centred (hpsv2/src/open_clip/transform.py).
    """
    pixels = images.float() / 255
    height, width = pixels.shape[-2:]
    scale = size / max(height, width)
    if scale != 1:
        shape = (round(height * scale), round(width * scale))
        pixels = functional.interpolate(pixels, shape, mode="bicubic", antialias=True)
    down, right = size - pixels.shape[-2], size - pixels.shape[-1]
    return functional.pad(
        pixels, (right // 2, right - right // 2, down // 2, down - down // 2), value=0.0
    )
