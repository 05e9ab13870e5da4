"""Images as they come back from a JPEG file."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import torch
from PIL import Image


def through_jpeg(images: torch.Tensor, quality: int) -> torch.Tensor:
    """uint8 (B, 3, H, W) -> the same shape after compression (PIL, 1 worst to 95 best)."""
    result = torch.empty_like(images, device="cpu")
    for row, image in enumerate(images.permute(0, 2, 3, 1).contiguous().cpu().numpy()):
        buffer = BytesIO()
        Image.fromarray(image).save(buffer, format="JPEG", quality=quality)
        decoded = np.array(Image.open(buffer).convert("RGB"))
        result[row] = torch.from_numpy(decoded).permute(2, 0, 1)
    return result
