"""ImageReward (Xu et al. 2023, arXiv 2304.05977): a BLIP that was trained on ranked images.

Score = (head(first token) - MEAN) / STD; source: THUDM/ImageReward, ImageReward.py.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoTokenizer

from pcpo.rewards import _base
from pcpo.rewards._blip import load_scorer
from pcpo.rewards._files import read_state_dict, require_file, require_folder
from pcpo.rewards._pixels import clip_pixels, clip_processor

MEAN, STD = 0.16717362830052426, 1.0333394966054072
MAX_TOKENS = 35  # longer prompts are cut


class Reward(_base.Reward):
    """ImageReward from a folder.

    Args:
        path: folder with the checkpoint and `med_config.json` (`THUDM/ImageReward`) and
            `tokenizer/` (`bert-base-uncased`).
        device: torch device.
        checkpoint: file name, safetensors or the published `ImageReward.pt`.
        jpeg_quality: score the image after JPEG compression.
        batch_size: images per forward pass.
    """

    def __init__(
        self,
        path: str | Path,
        device: str = "cpu",
        checkpoint: str = "ImageReward.safetensors",
        jpeg_quality: int | None = None,
        batch_size: int = 64,
    ):
        super().__init__(batch_size, jpeg_quality)
        folder = require_folder(path, "ImageReward")
        file = require_file(folder / checkpoint, "the weights of ImageReward")
        config_file = require_file(folder / "med_config.json", "ImageReward's BERT configuration")
        config = json.loads(config_file.read_text(encoding="utf-8"))
        tokenizer = require_folder(folder / "tokenizer", "the tokenizer of ImageReward")
        self.tokenizer = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
        self.model = load_scorer(read_state_dict(file), config, file).to(device)
        self.processor = clip_processor(self.model.image_size)

    def _score(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """About standard normal."""
        tokens = self.tokenizer(
            list(prompts),
            padding="max_length",
            truncation=True,
            max_length=min(MAX_TOKENS, self.tokenizer.model_max_length),
            return_tensors="pt",
        ).to(self.model.device)
        pixels = clip_pixels(images, self.processor).to(self.model.device)
        raw = self.model(pixels, tokens["input_ids"], tokens["attention_mask"])
        return (raw - MEAN) / STD
