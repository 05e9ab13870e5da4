"""Cosine of image and text under an open_clip model; shared by hps and clipscore."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import open_clip
import torch
from torch import nn

from pcpo.rewards._files import require_file, require_folder


class OpenClipScorer(nn.Module):
    """An open_clip model and its tokenizer.

    Args:
        path: a folder with open_clip_config.json, weights and, if the configuration names one, a
            tokenizer (open_clip's `local-dir`); or, with `checkpoint`, a folder with that file.
        device: torch device.
        architecture: open_clip's name of the model for a bare checkpoint.
        checkpoint: file name of the bare checkpoint.
        half: autocast to fp16, as the originals do on a GPU; scores then have steps of 2.4e-4.
    """

    def __init__(
        self,
        path: str | Path,
        device: str = "cpu",
        architecture: str | None = None,
        checkpoint: str | None = None,
        half: bool = False,
    ):
        super().__init__()
        folder = require_folder(path, "an open_clip model")
        if (folder / "open_clip_config.json").is_file():
            name, weights = f"local-dir:{folder}", None
        elif architecture is not None and checkpoint is not None:
            name = architecture
            weights = str(require_file(folder / checkpoint, f"weights of open_clip {name}"))
        else:
            require_file(folder / "open_clip_config.json", "open_clip's model configuration")
        model = open_clip.create_model(name, pretrained=weights, require_pretrained=True)
        self.model = model.eval().to(device)
        self.tokenizer = open_clip.get_tokenizer(name)
        self.autocast = half

    @property
    def image_size(self) -> int:
        """Side of the square input in pixels."""
        size = self.model.visual.image_size
        return size if isinstance(size, int) else size[0]

    @property
    def preprocess_config(self) -> dict:
        """Mean, standard deviation, ... of the configuration (open_clip's PreprocessCfg)."""
        return self.model.visual.preprocess_cfg

    def cosine(self, pixels: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """float (B, 3, size, size) normalised, B strings -> (B,) in [-1, 1]."""
        device = self.model.logit_scale.device
        tokens = self.tokenizer(list(prompts)).to(device)
        with torch.autocast(device.type, torch.float16) if self.autocast else nullcontext():
            image = self.model.encode_image(pixels.to(device), normalize=True)
            text = self.model.encode_text(tokens, normalize=True)
            # The diagonal of image @ text.T as a matrix product: autocast rounds that to fp16, as
            # the originals have it, and would leave a sum of products in fp32.
            return (image[:, None] @ text[:, :, None]).flatten()
