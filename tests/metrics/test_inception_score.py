import numpy as np
import pytest

from pcpo.metrics.inception_score import inception_score, metric


@pytest.mark.parametrize(("n", "splits"), [(200, 10), (57, 5), (30, 1), (13, 13)])
def test_agrees_with_torch_fidelity(n, splits):
    torch = pytest.importorskip("torch")
    isc = pytest.importorskip("torch_fidelity.metric_isc")
    logits = np.random.default_rng(n).normal(0, 3, size=(n, 20)).astype(np.float32)
    reference = isc.isc_features_to_metric(torch.from_numpy(logits), splits=splits, rng_seed=2020)
    mean, std = inception_score(logits, splits=splits)
    assert mean == pytest.approx(reference[isc.KEY_METRIC_ISC_MEAN], rel=1e-12)
    assert std == pytest.approx(reference[isc.KEY_METRIC_ISC_STD], rel=1e-9, abs=1e-12)


def test_counts_the_classes_of_confident_images():
    certain = np.full((12, 4), -np.inf)
    certain[np.arange(12), np.arange(12) % 4] = 0.0
    assert inception_score(certain, splits=1) == (pytest.approx(4.0), 0.0)
    assert inception_score(np.zeros((12, 4)), splits=1) == (pytest.approx(1.0), 0.0)


@pytest.mark.parametrize(("n", "splits"), [(4, 1), (199, 1), (200, 2), (999, 9), (1112, 10)])
def test_tables_have_as_many_splits_as_the_images_allow(n, splits):
    """Ten for the paper's 1,112 images of a prompt, as published."""
    logits = np.random.default_rng(n).normal(size=(n, 5))
    assert metric(logits, logits) == inception_score(logits, splits=splits)[0]


def test_log_probabilities_are_logits():
    logits = np.random.default_rng(0).normal(size=(40, 6))
    log_probabilities = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert inception_score(log_probabilities) == pytest.approx(inception_score(logits), rel=1e-12)


@pytest.mark.parametrize(
    ("logits", "splits", "message"),
    [
        (np.zeros((4, 5)), 10, "splits"),
        (np.full((4, 5), np.nan), 2, "NaN"),
        (np.full((4, 5), -np.inf), 2, "-inf"),
        (np.zeros((4, 1)), 2, "classes"),
    ],
)
def test_refuses_what_has_no_score(logits, splits, message):
    with pytest.raises(ValueError, match=message):
        inception_score(logits, splits=splits)
