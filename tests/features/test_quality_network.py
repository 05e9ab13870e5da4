import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import pcpo.features
from pcpo.features.quality_network import QualityNetwork


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("quality_network")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = QualityNetwork()
    config = {"channels": [24, 48, 64, 64], "classes": [5, 9, 4]}
    (path / "config.json").write_text(json.dumps(config))
    save_file(network.state_dict(), path / "model.safetensors")
    return path


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (7, 3, 32, 32), generator=generator, dtype=torch.uint8)


def test_shapes_types_and_probabilities(folder, images):
    features = pcpo.features.load("quality_network", folder)(images)
    assert set(features) == {"pooled", "middle", "logits", "perceptual"}
    assert all(value.dtype == np.float32 and len(value) == 7 for value in features.values())
    assert features["pooled"].shape == (7, 64)
    assert features["middle"].shape == (7, 112)
    np.testing.assert_allclose(np.exp(features["logits"]).sum(axis=1), 1, rtol=1e-5)


def test_joint_class_order_is_colour_then_shape_then_activity(folder, images):
    extractor = pcpo.features.load("quality_network", folder)
    logits = extractor(images)["logits"].reshape(7, 5, 9, 4)
    with torch.no_grad():
        heads = extractor.network(images.float() / 127.5 - 1)
    for axes, head in zip(((2, 3), (1, 3), (1, 2)), heads, strict=True):
        marginal = np.exp(logits).sum(axis=axes)
        np.testing.assert_allclose(marginal, head.softmax(dim=1).numpy(), rtol=1e-4, atol=1e-6)


def test_perceptual_distance_is_that_of_lpips(folder, images):
    """LPIPS as its paper writes it: unit-length channels, squared difference, mean over places."""
    extractor = pcpo.features.load("quality_network", folder)
    vectors = extractor(images)["perceptual"]
    with torch.no_grad():
        maps = extractor.network.maps(images.float() / 127.5 - 1)[:3]
    expected = 0.0
    for m in maps:
        unit = m / m.square().sum(dim=1, keepdim=True).sqrt()
        expected += (unit[0] - unit[1]).square().sum(dim=0).mean().item()
    assert np.square(vectors[0] - vectors[1]).sum() == pytest.approx(expected, rel=1e-4)


def test_images_are_scored_independently_of_the_batch(folder, images):
    whole = pcpo.features.load("quality_network", folder)(images)["pooled"]
    single = pcpo.features.load("quality_network", folder)(images[3:4])["pooled"]
    np.testing.assert_allclose(whole[3:4], single, atol=1e-5)


def test_unknown_name_lists_the_folder(folder):
    with pytest.raises(ValueError, match="quality_network"):
        pcpo.features.load("no_such_extractor", folder)


def test_missing_weights_and_wrong_images_are_refused(folder, images, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        pcpo.features.load("quality_network", tmp_path)
    extractor = pcpo.features.load("quality_network", folder)
    with pytest.raises(ValueError, match="uint8"):
        extractor(images.float())
    with pytest.raises(ValueError, match="32 x 32"):
        extractor(images[:, :, :16, :16])


def test_damaged_weights_are_named(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match=str(tmp_path)):
        pcpo.features.load("quality_network", tmp_path)
