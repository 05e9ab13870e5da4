"""From uint8 images to what the networks take: PIL images, and CLIP's preprocessing."""

from __future__ import annotations

import torch
from PIL import Image
from transformers import CLIPImageProcessorPil


def pil_images(images: torch.Tensor) -> list[Image.Image]:
    """uint8 (B, 3, H, W) -> B RGB images."""
    arrays = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return [Image.fromarray(array) for array in arrays]


def clip_processor(size: int) -> CLIPImageProcessorPil:
    """Shorter side to `size` (PIL bicubic), centre crop, CLIP's mean and standard deviation.

    The PIL backend equals torchvision's PIL transforms exactly; the default backend of
    transformers 5 differs from them by up to one grey level.
    """
    return CLIPImageProcessorPil(
        size={"shortest_edge": size}, crop_size={"height": size, "width": size}
    )


def clip_pixels(images: torch.Tensor, processor: CLIPImageProcessorPil) -> torch.Tensor:
    """uint8 (B, 3, H, W) -> float32 (B, 3, size, size), normalised."""
    return processor(images=pil_images(images), return_tensors="pt")["pixel_values"]
