"""The feature extractors' weights in their published folders and files."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torchvision.models import alexnet, vgg16
from transformers import Dinov2Config, Dinov2Model

from pcpo.features.inception import WEIGHTS
from pcpo.features.lpips import TRUNKS
from tests.published.random_weights import Tensors, write_pickle, write_safetensors
from tests.published.sizes import Size

KAIMING = 2**0.5  # of networks with ReLU: else features hardly depend on the image
# transformers 5 renamed the projections of DINOv2's attention.
_DINO = {"q_proj": "attention.query", "k_proj": "attention.key", "v_proj": "attention.value"}
_DINO["o_proj"] = "output.dense"


class UntrainedInception(FeatureExtractorInceptionV3):
    def load_state_dict(self, state: object) -> None:
        """Torch-fidelity's class cannot be made without weights."""


def inception_tensors() -> dict[str, Tensor]:
    """torch-fidelity's network, on the meta device."""
    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    with torch.device("meta"):
        return UntrainedInception("untrained", ["2048"], nothing).state_dict()


def dinov2(size: Size) -> Dinov2Model:
    """facebook/dinov2-large, on the meta device: 518 pixels, so 37 x 37 positions."""
    small = size == "small"
    config = Dinov2Config(
        hidden_size=32 if small else 1024,
        num_hidden_layers=2 if small else 24,
        num_attention_heads=4 if small else 16,
        mlp_ratio=2 if small else 4,
        image_size=518,
        patch_size=14,
    )
    config.architectures = ["Dinov2Model"]
    with torch.device("meta"):
        return Dinov2Model(config)


def dinov2_tensors(network: Dinov2Model) -> dict[str, Tensor]:
    """Under the published names."""
    found = {}
    for key, like in network.state_dict().items():
        for ours, published in _DINO.items():
            key = key.replace(f".attention.{ours}.", f".attention.{published}.")
        found[key] = like
    return found


def lpips_tensors(name: str, size: Size) -> Tensors:
    """torchvision's network; small: its trunk, and one value of its classifier."""
    with torch.device("meta"):
        state = (alexnet if name == "alex" else vgg16)().state_dict()
    if size == "true":
        return state
    return {k: v for k, v in state.items() if k.startswith("features.") or k == "classifier.6.bias"}


def _inception(folder: Path, size: Size) -> None:
    write_pickle(folder / WEIGHTS, inception_tensors(), "inception", KAIMING)


def _dinov2(folder: Path, size: Size) -> None:
    network = dinov2(size)
    network.config.save_pretrained(folder)
    write_safetensors(folder / "model.safetensors", dinov2_tensors(network), "dinov2")


def _lpips(folder: Path, size: Size) -> None:
    for name, file in TRUNKS.items():
        write_pickle(folder / file, lpips_tensors(name, size), f"lpips {name}", KAIMING)


BUILDERS: dict[str, Callable[[Path, Size], None]] = {
    "inception": _inception,
    "dinov2": _dinov2,
    "lpips": _lpips,
}


def save_features(name: str, folder: Path, size: Size) -> None:
    """An extractor's folder; the networks of Inception and LPIPS have one size."""
    BUILDERS[name](folder, size)
