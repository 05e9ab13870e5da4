"""Inception against torch-fidelity, with random weights in a file."""

import numpy as np
import pytest
import torch
import torch_fidelity
from torch.nn import functional
from torch.utils.data import TensorDataset
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from pcpo import features
from pcpo.features.inception import WEIGHTS
from pcpo.metrics.inception_score import inception_score
from tests.features.random_weights import save_inception


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("inception")
    save_inception(path)
    return path


@pytest.fixture(scope="module")
def extractor(folder):
    return features.load("inception", folder)


@pytest.fixture(scope="module")
def images():
    """Smooth pictures, 40 x 56, so that resizers differ by little, as on photographs."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(4, 3, 5, 7, generator=generator)
    fine = functional.interpolate(coarse, size=(40, 56), mode="bicubic").clamp(0, 1)
    return (fine * 255).round().to(torch.uint8)


@pytest.fixture(scope="module")
def ours(extractor, images):
    return extractor(images)


def test_shapes_and_types(ours):
    assert ours["pooled"].shape == (4, 2048) and ours["logits"].shape == (4, 1008)
    assert {value.dtype for value in ours.values()} == {np.dtype(np.float32)}


def test_features_are_those_of_torch_fidelity(folder, images, ours):
    network = FeatureExtractorInceptionV3("it", ["2048", "logits_unbiased"], folder / WEIGHTS)
    pooled, logits = network(images)
    assert np.array_equal(ours["pooled"], pooled.numpy())
    assert np.array_equal(ours["logits"], logits.numpy())


def test_features_depend_on_the_image_and_on_the_resizer(extractor, images, ours):
    """What the equalities above are worth: other images and another resizer are seen."""

    def difference(a, b):
        return np.linalg.norm(a - b) / np.linalg.norm(b)

    pooled = ours["pooled"]
    assert difference(pooled[0], pooled[1]) > 0.02
    other = functional.interpolate(images[:1].float(), size=(299, 299), mode="bilinear")
    assert difference(extractor(other.round().to(torch.uint8))["pooled"], pooled[:1]) > 1e-3


def test_the_score_is_that_of_torch_fidelity(folder, images, ours):
    class Pictures(TensorDataset):
        def __getitem__(self, i):
            return images[i]

    reference = torch_fidelity.calculate_metrics(
        input1=Pictures(images),
        isc=True,
        isc_splits=2,
        cuda=False,
        batch_size=4,
        cache=False,
        save_cpu_ram=True,  # no worker processes
        verbose=False,
        feature_extractor_weights_path=str(folder / WEIGHTS),
    )
    mean, _ = inception_score(ours["logits"], splits=2)
    assert mean == pytest.approx(reference["inception_score_mean"], rel=1e-6)
    assert mean > 1.001


def test_only_what_is_wanted_is_computed(folder, images, ours):
    only = features.load("inception", folder, outputs=["logits"])(images[:1])
    assert list(only) == ["logits"]
    np.testing.assert_allclose(only["logits"], ours["logits"][:1], rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match=r"inception\.py gives no 'cls', only pooled, logits"):
        features.load("inception", folder, outputs=["cls"])


def test_missing_and_damaged_weights_are_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"{WEIGHTS} is missing"):
        features.load("inception", tmp_path)
    (tmp_path / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-1000])
    with pytest.raises(ValueError, match=f"weights in {tmp_path} cannot be loaded"):
        features.load("inception", tmp_path)


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    class Trap:
        def __reduce__(self):
            return (print, ("code was run",))

    torch.save({"fc.weight": Trap()}, tmp_path / WEIGHTS)
    with pytest.raises(ValueError, match="cannot be loaded"):
        features.load("inception", tmp_path)
