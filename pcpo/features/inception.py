"""Inception-v3 of 2015-12-05 as torch-fidelity runs it: features of FID and of the Inception Score.

torch-fidelity's extractor (FID's patched TensorFlow graph: 1008 classes, average pools that do not
count the padding, a max pool in Mixed_7c) is used as it is. It resizes to 299 x 299 as TensorFlow 1
does: bilinear, corners not aligned, no half-pixel centres, no antialiasing; then (x - 128) / 128.
Other implementations resize otherwise and their values differ, so tables name this one.
"""

from __future__ import annotations

import io
from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from pcpo.features import check_images, float32_convolutions
from pcpo.features._weights import read_weights

WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
LAYERS = {"pooled": "2048", "logits": "logits_unbiased"}


class Features:
    """uint8 images (B, 3, H, W) of any size -> arrays, all float32:

    - `pooled` (B, 2048): global average of the last block, for the Frechet distance.
    - `logits` (B, 1008): the classifier without its bias (torch-fidelity's `logits_unbiased`), for
      the Inception Score.

    `path` is a folder with torch-fidelity's weights, WEIGHTS. Raises ValueError for other images or
    damaged weights, FileNotFoundError where they are missing.
    """

    outputs = tuple(LAYERS)
    digest = ""

    def __init__(
        self, path: str | Path, device: str = "cpu", outputs: Collection[str] | None = None
    ) -> None:
        self.wanted = [name for name in LAYERS if outputs is None or name in outputs]
        self.device = torch.device(device)
        # torch-fidelity unpickles whatever it is given, so it is given what was read safely.
        safe = io.BytesIO()
        torch.save(read_weights(Path(path) / WEIGHTS, "torch-fidelity's Inception"), safe)
        safe.seek(0)
        layers = [LAYERS[name] for name in self.wanted]
        network = FeatureExtractorInceptionV3("inception", layers, safe)
        self.network = network.to(self.device)

    @torch.no_grad()
    def __call__(self, images: torch.Tensor) -> dict[str, np.ndarray]:
        check_images(images)
        with float32_convolutions():
            values = self.network(images.to(self.device))
        return {name: value.cpu().numpy() for name, value in zip(self.wanted, values, strict=True)}
