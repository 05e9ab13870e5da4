"""What all rewards share: checked images, batches without gradients, checked scores, one device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import nn

from pcpo.rewards._jpeg import through_jpeg


class Reward(nn.Module):
    """Base of every `pcpo/rewards/<name>.py`, which defines `_score`.

    Networks are attributes, so `reward.to(device)` moves all of them, and inputs go where the
    networks are. A reward is never trained: `load` returns it in evaluation mode.

    Args:
        batch_size: images per forward pass.
        jpeg_quality: 1 worst to 95 best: write and re-read images as JPEG before scoring, as some
            originals do (PIL's default of 75 in DanceGRPO's SD trainer, 80 in DDPO's captioner).
    """

    # False for a function of pixels alone: its constructor takes no `path`.
    has_weights: ClassVar[bool] = True

    def __init__(self, batch_size: int, jpeg_quality: int | None = None):
        super().__init__()
        self.batch_size = batch_size
        self.jpeg_quality = jpeg_quality

    @property
    def name(self) -> str:
        """Name of the file that defines it."""
        return type(self).__module__.rpartition(".")[2]

    def forward(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """uint8 (B, 3, H, W) RGB and B prompts -> float32 (B,) on the CPU, row by row.

        Entry k depends on image k and prompt k alone, up to floating-point rounding.

        Raises:
            ValueError: wrong dtype or shape, not as many prompts as images, or a score that is
                not finite; the message names the row.
        """
        check_inputs(images, prompts)
        if self.jpeg_quality is not None:
            images = through_jpeg(images, self.jpeg_quality)
        scores = [torch.empty(0)]
        # cuDNN's default, TF32, would move scores on a GPU by about 1e-3 from the CPU's.
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.no_grad(), exact:
            for start in range(0, len(images), self.batch_size):
                rows = slice(start, start + self.batch_size)
                found = self._score(images[rows], prompts[rows])
                scores.append(checked(self.name, found, prompts[rows], first_row=start))
        return torch.cat(scores)

    def _score(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """At most `batch_size` rows of checked inputs -> (B,) of any float type and device."""
        raise NotImplementedError


class OfPixels(Reward):
    """Base of a reward that is a function of pixels alone, without weights.

    Args:
        device: has no effect; the images' own is used.
        jpeg_quality: score the image after JPEG compression.
        batch_size: images at a time.
    """

    has_weights = False

    def __init__(
        self, device: str = "cpu", jpeg_quality: int | None = None, batch_size: int = 256
    ) -> None:
        super().__init__(batch_size, jpeg_quality)


def check_inputs(images: torch.Tensor, prompts: Sequence[str]) -> None:
    """Raise ValueError unless `images` is uint8 (B, 3, H, W) and `prompts` has B strings."""
    if not isinstance(images, torch.Tensor) or images.dtype != torch.uint8:
        kind = images.dtype if isinstance(images, torch.Tensor) else type(images).__name__
        raise ValueError(f"Images must be a torch.uint8 tensor with values 0..255, not {kind}.")
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(
            f"Images must be (B, 3, H, W) RGB, not {tuple(images.shape)}; convert grey, RGBA or "
            'CMYK images first, with PIL image.convert("RGB").'
        )
    if isinstance(prompts, str):
        raise ValueError("Prompts must be a sequence of strings, one per image, not one string.")
    if len(prompts) != len(images):
        raise ValueError(f"{len(images)} images need as many prompts, not {len(prompts)}.")


def checked(
    name: str, scores: torch.Tensor, prompts: Sequence[str], first_row: int = 0
) -> torch.Tensor:
    """`scores` as float32 (B,) on the CPU; ValueError unless there is a finite one per prompt.

    `first_row` is the row of prompts[0] in the caller's batch, for the message.
    """
    if scores.shape != (len(prompts),):
        raise ValueError(
            f"Reward '{name}' returned scores of shape {tuple(scores.shape)} for "
            f"{len(prompts)} images; it must return one number per image."
        )
    scores = scores.float().cpu()
    wrong = (~scores.isfinite()).nonzero().flatten().tolist()
    if wrong:
        raise ValueError(
            f"Reward '{name}' returned {scores[wrong[0]].item()} for row {first_row + wrong[0]}, "
            f"prompt '{prompts[wrong[0]]}' ({len(wrong)} of {len(scores)} scores in its batch are "
            "not finite). Look at that image; if the reward runs in half precision, set half: "
            "false; if every row is affected, its weights are damaged."
        )
    return scores
