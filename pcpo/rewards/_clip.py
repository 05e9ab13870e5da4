"""Unit-length embeddings of a transformers CLIP folder; shared by pickscore and aesthetic."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import nn
from transformers import (
    AutoTokenizer,
    CLIPImageProcessorPil,
    CLIPModel,
    PreTrainedTokenizerBase,
)

from pcpo.rewards._files import load_pretrained, require_folder
from pcpo.rewards._pixels import clip_pixels, clip_processor


class ClipEmbedder(nn.Module):
    """CLIPModel with its tokenizer and image preprocessing.

    Args:
        path: folder of `CLIPModel.save_pretrained`.
        device: torch device.
        processor: folder with the tokenizer and (optionally) preprocessor_config.json; `path` if
            None. Without preprocessor_config.json the size comes from the model's configuration.
    """

    def __init__(
        self,
        path: str | Path,
        device: str = "cpu",
        processor: str | Path | None = None,
    ):
        super().__init__()
        folder = require_folder(path, "a transformers CLIPModel")
        texts = folder if processor is None else require_folder(processor, "a CLIP processor")
        self.model = load_pretrained(CLIPModel, folder).to(device)
        self._texts = texts
        if (texts / "preprocessor_config.json").is_file():
            self.processor = CLIPImageProcessorPil.from_pretrained(texts, local_files_only=True)
        else:
            self.processor = clip_processor(self.model.config.vision_config.image_size)

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Read when first used: a reward that only looks at images needs none."""
        return AutoTokenizer.from_pretrained(self._texts, local_files_only=True)

    def images(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 (B, 3, H, W) -> float32 (B, d), rows of length 1."""
        pixels = clip_pixels(images, self.processor).to(self.model.device)
        features = self.model.get_image_features(pixel_values=pixels).pooler_output
        return torch.nn.functional.normalize(features.float(), dim=-1)

    def texts(self, texts: Sequence[str]) -> torch.Tensor:
        """B strings, cut at the model's context length -> float32 (B, d), rows of length 1."""
        length = self.model.config.text_config.max_position_embeddings
        tokens = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=length, return_tensors="pt"
        ).to(self.model.device)
        features = self.model.get_text_features(
            input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"]
        ).pooler_output
        return torch.nn.functional.normalize(features.float(), dim=-1)
