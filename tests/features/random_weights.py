"""Random weights for every published extractor, in the file and layout that it reads."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torchvision.models import AlexNet
from torchvision.models.vgg import cfgs, make_layers
from transformers import Dinov2Config, Dinov2Model

from pcpo.features.inception import WEIGHTS
from pcpo.features.lpips import TRUNKS

HEADS, WIDTH, PATCH = 4, 32, 14


class UntrainedInception(FeatureExtractorInceptionV3):
    def load_state_dict(self, state):
        """Torch-fidelity's class cannot be made without weights."""


def _kaiming(network: nn.Module) -> None:
    """With PyTorch's default weights features hardly depend on the image."""
    for parameter in network.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)


def save_inception(path: Path) -> None:
    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = UntrainedInception("untrained", ["2048"], nothing)
        _kaiming(network)
        network.fc.weight.mul_(30)  # class probabilities that differ, for the score
    torch.save(network.state_dict(), path / WEIGHTS)


def save_dinov2(path: Path) -> None:
    """The layout of facebook/dinov2-large: 518 pixels, so 37 x 37 positions."""
    config = Dinov2Config(
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=HEADS,
        mlp_ratio=2,
        image_size=518,
        patch_size=PATCH,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Dinov2Model(config)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    network.save_pretrained(path)


def lpips_trunk(name: str) -> nn.Module:
    """torchvision's `features`."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = AlexNet(num_classes=1).features if name == "alex" else make_layers(cfgs["D"])
        _kaiming(layers)
    return layers


def save_lpips(path: Path, *names: str) -> None:
    for name in names or TRUNKS:
        state = {f"features.{key}": value for key, value in lpips_trunk(name).state_dict().items()}
        torch.save(state | {"classifier.6.bias": torch.zeros(1000)}, path / TRUNKS[name])


BUILDERS: dict[str, Callable[[Path], None]] = {
    "inception": save_inception,
    "dinov2": save_dinov2,
    "lpips": save_lpips,
}
