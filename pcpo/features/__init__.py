"""Feature extractors: images -> named arrays. The folder is the registry.

An extractor named `judge` is the class `Features` in `pcpo/features/judge.py`. It is made from the
folder of its weights and called with uint8 (B, 3, H, W) RGB images:

    features = load("judge", "results/demo/world/judge")
    features(images)["pooled"]        # float32 (B, d)
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch


class FeatureExtractor(Protocol):
    """What a module of this folder calls `Features`."""

    def __init__(self, path: str | Path) -> None: ...

    def __call__(self, images: torch.Tensor) -> dict[str, np.ndarray]: ...


def names() -> list[str]:
    """The extractors in this folder."""
    folder = Path(__file__).parent
    return sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")


def load(name: str, path: str | Path) -> FeatureExtractor:
    """The extractor `name` with the weights in `path`.

    Raises:
        ValueError: if there is no such extractor, or its weights are damaged.
        FileNotFoundError: if `path` lacks its weights.
    """
    if name not in names():
        raise ValueError(f"No feature extractor '{name}'; there are: {', '.join(names())}.")
    from safetensors import SafetensorError

    try:
        return import_module(f"pcpo.features.{name}").Features(path)
    except (RuntimeError, SafetensorError) as error:
        raise ValueError(
            f"Feature extractor '{name}': the weights in {path} cannot be loaded: {error}"
        ) from error


def check_images(images: torch.Tensor) -> None:
    """Refuse anything but uint8 (B, 3, H, W)."""
    import torch

    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(
            f"Features need uint8 images (B, 3, H, W), not {images.dtype} {tuple(images.shape)}; "
            "floats in [0, 1] become uint8 with (x * 255).round().clamp(0, 255).to(torch.uint8)."
        )
