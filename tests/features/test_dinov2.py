"""DINOv2 against the hub's model, written out here, with small random weights."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import Dinov2Model

from pcpo import features
from pcpo.features.dinov2 import preprocess
from tests.features.random_weights import HEADS, PATCH, WIDTH, save_dinov2


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("dinov2")
    save_dinov2(path)
    return path


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, 3, 40, 64), generator=generator, dtype=torch.uint8)


def torchvision_pixels(images):
    """dgm-eval's preprocessing, by torchvision."""
    transforms = pytest.importorskip("torchvision.transforms")
    transform = transforms.Compose(
        [
            transforms.Resize((224, 224), transforms.InterpolationMode.BICUBIC),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    return torch.stack(
        [transform(Image.fromarray(image.permute(1, 2, 0).numpy())) for image in images]
    )


def hub_forward(weights, pixels):
    """facebookresearch/dinov2's vision transformer, without registers: x_norm_clstoken."""

    def linear(x, name):
        return functional.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(x, name):
        return functional.layer_norm(
            x, (WIDTH,), weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-6
        )

    projection = "embeddings.patch_embeddings.projection"
    x = functional.conv2d(
        pixels, weights[f"{projection}.weight"], weights[f"{projection}.bias"], stride=PATCH
    )
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat([weights["embeddings.cls_token"].expand(len(x), -1, -1), x], dim=1)

    # The hub's interpolation: a scale factor with an offset of 0.1, not a size.
    positions = weights["embeddings.position_embeddings"].float()
    side = int(math.sqrt(positions.shape[1] - 1))
    factor = float(pixels.shape[-1] // PATCH + 0.1) / side
    grid = functional.interpolate(
        positions[:, 1:].reshape(1, side, side, WIDTH).permute(0, 3, 1, 2),
        mode="bicubic",
        antialias=False,
        scale_factor=(factor, factor),
    )
    grid = grid.permute(0, 2, 3, 1).view(1, -1, WIDTH)
    x = x + torch.cat([positions[:, :1], grid], dim=1)

    for layer in ("encoder.layer.0", "encoder.layer.1"):
        y = norm(x, f"{layer}.norm1")
        attention = f"{layer}.attention.attention"
        query, key, value = (
            linear(y, f"{attention}.{part}").unflatten(2, (HEADS, -1)).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        weight = (query @ key.transpose(2, 3) / math.sqrt(WIDTH / HEADS)).softmax(dim=-1)
        y = linear((weight @ value).transpose(1, 2).flatten(2), f"{layer}.attention.output.dense")
        x = x + y * weights[f"{layer}.layer_scale1.lambda1"]
        y = functional.gelu(linear(norm(x, f"{layer}.norm2"), f"{layer}.mlp.fc1"))
        x = x + linear(y, f"{layer}.mlp.fc2") * weights[f"{layer}.layer_scale2.lambda1"]
    return norm(x, "layernorm")[:, 0]


@torch.no_grad()
def test_is_the_hubs_class_token(folder, images):
    ours = features.load("dinov2", folder)(images)["cls"]
    assert ours.shape == (3, WIDTH) and ours.dtype == np.float32
    plain = Dinov2Model.from_pretrained(folder).eval()
    pixels = torchvision_pixels(images)
    expected = hub_forward(load_file(folder / "model.safetensors"), pixels).numpy()
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
    # What that is worth: transformers' own interpolation is seen, and so are other images.
    unpatched = plain(pixel_values=pixels).last_hidden_state[:, 0].numpy()
    scale = np.abs(expected).mean()
    assert np.abs(unpatched - expected).max() > 1e-3 * scale
    assert np.abs(ours[0] - ours[1]).max() > 1e-2 * scale


def test_preprocessing_is_torchvisions_on_pillow_images(images):
    torch.testing.assert_close(preprocess(images), torchvision_pixels(images), rtol=0, atol=0)


def test_the_global_random_state_is_left_alone(folder):
    state = torch.random.get_rng_state()
    features.load("dinov2", folder)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_missing_and_foreign_weights_are_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json is missing"):
        features.load("dinov2", tmp_path)
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    weights = load_file(folder / "model.safetensors")
    weights.pop("layernorm.weight")
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"lack layernorm\.weight"):
        features.load("dinov2", tmp_path)
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-100])
    with pytest.raises(ValueError, match=f"weights in {tmp_path} cannot be loaded"):
        features.load("dinov2", tmp_path)
