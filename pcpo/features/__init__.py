"""Feature extractors: images -> named arrays. The folder is the registry.

An extractor named `inception` is the class `Features` in `pcpo/features/inception.py`. It is made
from the folder of its weights and called with uint8 (B, 3, H, W) RGB images:

    features = load("inception", "data/features/inception", device="cuda")
    features(images)["pooled"]        # float32 (B, 2048)

Row k of an array depends on image k alone, up to floating-point rounding. The caller decides how
many images are in one call.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pcpo.records.digest import of_folder, of_text
from pcpo.records.sources import digests, sources_of

if TYPE_CHECKING:
    import numpy as np
    import torch


class FeatureExtractor(Protocol):
    """What a module of this folder calls `Features`.

    `outputs` names the arrays that it can give; `digest` is set by `load`.
    """

    outputs: tuple[str, ...]
    digest: str

    def __init__(
        self, path: str | Path, device: str = "cpu", outputs: Collection[str] | None = None
    ) -> None:
        """Weights from the folder `path`; `outputs`: those that are wanted, all where None."""

    def __call__(self, images: torch.Tensor) -> dict[str, np.ndarray]:
        """uint8 (B, 3, H, W) -> the wanted outputs, each (B, d)."""
        ...


def names() -> list[str]:
    """The extractors in this folder."""
    folder = Path(__file__).parent
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


def load(
    name: str, path: str | Path, device: str = "cpu", outputs: Collection[str] | None = None
) -> FeatureExtractor:
    """The extractor `name` with the weights in the folder `path`.

    Raises:
        ValueError: if there is no such extractor or output, or its weights are damaged.
        FileNotFoundError: if `path` lacks its weights.
    """
    if name not in names():
        raise ValueError(f"No feature extractor '{name}'; there are: {', '.join(names())}.")
    import torch
    from safetensors import SafetensorError

    extractor = import_module(f"pcpo.features.{name}").Features
    if unknown := sorted(set(outputs or ()) - set(extractor.outputs)):
        raise ValueError(
            f"pcpo/features/{name}.py gives no '{unknown[0]}', only {', '.join(extractor.outputs)}"
        )
    # Networks are initialised at random before their weights are read. This must not change
    # the caller's random state.
    with torch.random.fork_rng(devices=[]):
        try:
            loaded: FeatureExtractor = extractor(path, device=device, outputs=outputs)
        except (RuntimeError, EOFError, SafetensorError, pickle.UnpicklingError) as error:
            raise ValueError(
                f"Feature extractor '{name}': the weights in {path} cannot be loaded: {error}"
            ) from error
    loaded.digest = digest(name, path)
    return loaded


def digest(name: str, path: str | Path) -> str:
    """Digest of the extractor's sources and of its weights: features of equal ones are equal.

    Only contents count, not times: a folder that was copied gives the same digest.
    """
    code = json.dumps(digests(sources_of(f"pcpo.features.{name}")))
    return of_text(code + of_folder(path))


def check_images(images: torch.Tensor) -> None:
    """Refuse anything but uint8 (B, 3, H, W)."""
    import torch

    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(
            f"Features need uint8 images (B, 3, H, W), not {images.dtype} {tuple(images.shape)}; "
            "floats in [0, 1] become uint8 with (x * 255).round().clamp(0, 255).to(torch.uint8)."
        )


@contextmanager
def float32_convolutions() -> Iterator[None]:
    """cuDNN with full float32, and the same result each time.

    Its default, TF32, keeps 10 bits of the mantissa: features on a GPU would differ from the CPU's
    by 1e-3.
    """
    import torch

    with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
        yield
