from itertools import combinations

import numpy as np
import pytest

from pcpo.metrics.diversity import PairwiseDistance, mean_pairwise_squared_distance


def brute_force(vectors):
    return np.mean([np.sum((a - b) ** 2) for a, b in combinations(vectors, 2)])


@pytest.mark.parametrize("n", [2, 3, 25])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_is_the_mean_over_all_pairs(n, offset):
    vectors = np.random.default_rng(n).normal(offset, 1, size=(n, 30))
    assert mean_pairwise_squared_distance(vectors) == pytest.approx(brute_force(vectors), rel=1e-9)


def test_batches_give_the_same_value():
    vectors = np.random.default_rng(0).normal(5, 2, size=(17, 8)).astype(np.float32)
    running = PairwiseDistance()
    for part in np.split(vectors, [1, 6, 11]):
        running.update(part)
    assert running.count == 17
    assert running.value() == pytest.approx(brute_force(vectors.astype(float)), rel=1e-10)


def test_equal_images_have_no_diversity():
    assert mean_pairwise_squared_distance(np.full((5, 3), 0.1)) == 0.0


def test_refuses_what_has_no_pair():
    with pytest.raises(ValueError, match="at least 2"):
        mean_pairwise_squared_distance(np.zeros((1, 4)))
    with pytest.raises(ValueError, match="NaN"):
        mean_pairwise_squared_distance(np.full((3, 4), np.nan))
    running = PairwiseDistance()
    running.update(np.zeros((2, 4)))
    with pytest.raises(ValueError, match="same size"):
        running.update(np.zeros((2, 5)))
