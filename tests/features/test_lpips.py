"""LPIPS vectors against the lpips package, pair by pair, with random trunks in files."""

import itertools
import warnings

import lpips
import numpy as np
import pytest
import torch

from pcpo import features
from pcpo.features.lpips import TRUNKS
from pcpo.metrics.diversity import mean_pairwise_squared_distance
from tests.features.random_weights import lpips_trunk, save_lpips


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("lpips")
    save_lpips(path)
    return path


@pytest.fixture(scope="module")
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (4, 3, 64, 80), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("name", TRUNKS)
@torch.no_grad()
def test_squared_distances_are_the_packages(folder, images, name):
    vectors = features.load("lpips", folder, outputs=[name])(images)[name]
    assert vectors.dtype == np.float32 and vectors.ndim == 2
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")
        reference = lpips.LPIPS(net=name, pnet_rand=True, verbose=False)
    layers = dict(lpips_trunk(name).named_children())
    for part in reference.net.children():  # slices of the trunk, layers by torchvision's numbers
        for number, layer in part.named_children():
            layer.load_state_dict(layers[number].state_dict())
    pixels = images.float() / 127.5 - 1
    distances = []
    for i, j in itertools.combinations(range(4), 2):
        expected = reference(pixels[i : i + 1], pixels[j : j + 1]).item()
        ours = np.square(vectors[i].astype(float) - vectors[j].astype(float)).sum()
        assert ours == pytest.approx(expected, abs=1e-6)
        distances.append(expected)
    assert min(distances) > 0.01 and np.std(distances) > 1e-4  # else nothing was compared
    assert mean_pairwise_squared_distance(vectors) == pytest.approx(np.mean(distances), abs=1e-6)


def test_length_of_a_vector(folder):
    """One number per channel and place of the five layers."""
    images = torch.zeros(1, 3, 128, 128, dtype=torch.uint8)
    sides = {"alex": (31, 15, 7, 7, 7), "vgg": (128, 64, 32, 16, 8)}
    channels = {"alex": (64, 192, 384, 256, 256), "vgg": (64, 128, 256, 512, 512)}
    for name, values in features.load("lpips", folder)(images).items():
        length = sum(c * s * s for c, s in zip(channels[name], sides[name], strict=True))
        assert values.shape == (1, length)


def test_only_the_wanted_trunk_is_needed(folder, tmp_path):
    (tmp_path / TRUNKS["alex"]).write_bytes((folder / TRUNKS["alex"]).read_bytes())
    assert features.load("lpips", tmp_path, outputs=["alex"])
    with pytest.raises(FileNotFoundError, match=r"vgg16-397923af\.pth is missing"):
        features.load("lpips", tmp_path)


def test_foreign_weights_are_refused(folder, tmp_path):
    state = torch.load(folder / TRUNKS["alex"], weights_only=True)
    state.pop("features.6.weight")
    torch.save(state, tmp_path / TRUNKS["alex"])
    with pytest.raises(ValueError, match=f"weights in {tmp_path} cannot be loaded"):
        features.load("lpips", tmp_path, outputs=["alex"])
