"""Advantages recomputed by hand, as each public codebase defines them."""

import numpy as np
import pytest

from pcpo.advantages import build
from pcpo.config import Advantage

IDS = np.array([0, 0, 0, 1, 1, 1])
REWARDS = np.array([1.0, 2.0, 3.0, 10.0, 10.0, 13.0])


def _build(kind, **fields):
    return build(Advantage(kind=kind, **({"epsilon": 0.0, "clip": 5.0} | fields)))


def test_per_group_uses_the_unbiased_std():
    values = _build("per_group")(IDS, REWARDS)
    np.testing.assert_allclose(values[:3], [-1, 0, 1])
    np.testing.assert_allclose(values[3:], (REWARDS[3:] - 11) / np.sqrt(3))


def test_group_mean_global_std():
    values = _build("group_mean_global_std")(IDS, REWARDS)
    np.testing.assert_allclose(values[:3], np.array([-1, 0, 1]) / REWARDS.std())


def test_running_statistics_wait_for_min_count_and_forget():
    advantage = _build("per_prompt_running", buffer=4, min_count=4)
    first = advantage(IDS, REWARDS)
    np.testing.assert_allclose(first, (REWARDS - REWARDS.mean()) / REWARDS.std())
    second = advantage(np.zeros(3), np.array([4.0, 5.0, 6.0]))
    remembered = np.array([3.0, 4.0, 5.0, 6.0])
    np.testing.assert_allclose(second, (remembered[1:] - 4.5) / remembered.std())


def test_running_statistics_survive_a_restart():
    one, two = (_build("per_prompt_running", buffer=4, min_count=2) for _ in range(2))
    one(IDS, REWARDS)
    two.restore(one.state())
    np.testing.assert_array_equal(one(IDS, REWARDS + 1), two(IDS, REWARDS + 1))


def test_clamped_and_finite():
    values = _build("per_group", clip=0.5)(IDS, REWARDS)
    assert np.abs(values).max() == 0.5
    with pytest.raises(ValueError, match="1 of 6 rewards are NaN"):
        _build("per_group")(IDS, np.array([1, 2, np.nan, 1, 2, 3]))
    equal = _build("per_group", epsilon=1e-8)(IDS, np.ones(6))
    np.testing.assert_array_equal(equal, 0)
