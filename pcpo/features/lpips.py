"""LPIPS v0.1 (Zhang et al. 2018, arXiv 1801.03924) as one vector per image.

    d(x, y) = sum_l mean_hw sum_c w_lc (f_l(x) - f_l(y))^2,   f_l of unit length over the channels

is the squared Euclidean distance of v = concat_l sqrt(w_l / (H_l W_l)) f_l, since no weight w is
negative. So every pair's distance follows from one forward per image, and the mean over all pairs
from sums (`pcpo.metrics.diversity`). Trunks and scaling are those of the `lpips` package, whose
wheel also holds the calibrated weights w.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection
from pathlib import Path

import lpips
import numpy as np
import torch
from torch import nn

from pcpo.features import check_images, float32_convolutions
from pcpo.features._weights import read_weights

TRUNKS = {"alex": "alexnet-owt-7be5be79.pth", "vgg": "vgg16-397923af.pth"}


class Features:
    """uint8 images (B, 3, H, W) -> vectors, float32, whose squared distance is LPIPS v0.1:

    - `alex` (B, P): with AlexNet, the package's advice for a metric; P is 2,655,360 at 512 x 512.
    - `vgg` (B, P): with VGG-16, larger and slower; P is 31,981,568 at 512 x 512.

    They are too long to be kept for many images. Images enter in [-1, 1] at their own size.
    `path` is a folder with torchvision's ImageNet weights of the wanted trunks, TRUNKS. Raises
    ValueError for other images or damaged weights, FileNotFoundError where they are missing.
    """

    outputs = tuple(TRUNKS)
    digest = ""

    def __init__(
        self, path: str | Path, device: str = "cpu", outputs: Collection[str] | None = None
    ) -> None:
        self.device = torch.device(device)
        self.networks = {
            name: load_network(name, Path(path)).to(self.device)
            for name in TRUNKS
            if outputs is None or name in outputs
        }

    @torch.no_grad()
    def __call__(self, images: torch.Tensor) -> dict[str, np.ndarray]:
        check_images(images)
        pixels = images.to(self.device).float() / 127.5 - 1
        with float32_convolutions():
            return {
                name: vectors(network, pixels).cpu().numpy()
                for name, network in self.networks.items()
            }


def load_network(name: str, folder: Path) -> lpips.LPIPS:
    """The package's LPIPS with the trunk `name` from `folder`."""
    content = f"torchvision's ImageNet weights of the LPIPS trunk '{name}'"
    state = read_weights(folder / TRUNKS[name], content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package uses an older spelling of torchvision's
        network = lpips.LPIPS(net=name, version="0.1", pnet_rand=True, verbose=False)
    for part in network.net.children():
        # The trunk's slices keep the numbers that their layers have in torchvision's `features`.
        keys = [key for key in part.state_dict() if f"features.{key}" in state]
        part.load_state_dict({key: state[f"features.{key}"] for key in keys})
    return network.eval().requires_grad_(False)


def vectors(network: lpips.LPIPS, pixels: torch.Tensor) -> torch.Tensor:
    """float32 (B, 3, H, W) in [-1, 1] -> v, float32 (B, P)."""
    layers = []
    maps = network.net(network.scaling_layer(pixels))
    for layer, head in zip(maps, network.lins, strict=True):
        weight: nn.Parameter = head.model[-1].weight  # (1, C, 1, 1)
        scale = (weight / (layer.shape[2] * layer.shape[3])).sqrt()
        layers.append((lpips.normalize_tensor(layer) * scale).flatten(1))
    return torch.cat(layers, dim=1)
