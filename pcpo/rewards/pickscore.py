"""PickScore (Kirstain et al. 2023, arXiv 2305.01569): a CLIP tuned on human choices.

S = exp(logit_scale) cos(image, text), with the scale of the checkpoint (about 100). Published
tables print S; training code divides it differently, so the scale is spelled out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from pcpo.rewards import _base
from pcpo.rewards._clip import ClipEmbedder

SCALES = ("logit", "logit/26", "cosine")


class Reward(_base.Reward):
    """PickScore of a transformers CLIP folder.

    Args:
        path: folder with the CLIPModel (`yuvalkirstain/PickScore_v1`).
        device: torch device.
        scale: "logit" (S itself; Tables 5 and 9), "logit/26" (Flow-GRPO, pickscore_scorer.py) or
            "cosine" (DanceGRPO, train_grpo_flux.py).
        processor: folder with tokenizer and image processor
            (`laion/CLIP-ViT-H-14-laion2B-s32B-b79K`), relative to `path` or absolute; `path`
            itself if None.
        jpeg_quality: score the image after JPEG compression.
        batch_size: images per forward pass.
    """

    def __init__(
        self,
        path: str | Path,
        device: str = "cpu",
        scale: str = "logit",
        processor: str | Path | None = None,
        jpeg_quality: int | None = None,
        batch_size: int = 64,
    ):
        super().__init__(batch_size, jpeg_quality)
        if scale not in SCALES:
            raise ValueError(f"scale must be one of {', '.join(SCALES)}, not '{scale}'.")
        if processor is not None:
            processor = Path(path) / processor  # an absolute path stays as it is
        self.clip = ClipEmbedder(path, device, processor)
        logit_scale = self.clip.model.logit_scale.detach().exp().item()
        self.factor = {"logit": logit_scale, "logit/26": logit_scale / 26, "cosine": 1.0}[scale]

    def _score(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        # Row-wise product; the original computes all pairs and keeps the diagonal.
        cosine = (self.clip.images(images) * self.clip.texts(prompts)).sum(dim=-1)
        return self.factor * cosine
