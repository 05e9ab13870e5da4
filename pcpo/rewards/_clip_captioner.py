"""Stand-in for a captioning language model: the nearest of a fixed list of captions under a CLIP.

It can only say what is on the list; results that use it are those of synthetic data, not of the
paper's captioner.
"""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from torch import nn

from pcpo.rewards._clip import ClipEmbedder
from pcpo.rewards._files import require_file, require_folder

log = logging.getLogger(__name__)


class ClipCaptioner(nn.Module):
    """Folder: a transformers CLIPModel with its tokenizer, and captions.txt, one caption a line."""

    embeddings: torch.Tensor  # (captions, d), rows of length 1

    def __init__(self, path: str | Path, device: str = "cpu"):
        super().__init__()
        folder = require_folder(path, "a CLIPModel and captions.txt")
        file = require_file(folder / "captions.txt", "the captions to choose from, one a line")
        self.captions = file.read_text(encoding="utf-8").split("\n")[:-1]
        self.clip = ClipEmbedder(folder, device)
        with torch.no_grad():
            self.register_buffer("embeddings", self.clip.texts(self.captions))
        log.warning(
            "captioner: stand-in, the nearest of %d captions under a CLIP; not a language model",
            len(self.captions),
        )

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> list[str]:
        """uint8 (B, 3, H, W) -> B captions."""
        best = (self.clip.images(images) @ self.embeddings.T).argmax(dim=1)
        return [self.captions[index] for index in best.tolist()]
