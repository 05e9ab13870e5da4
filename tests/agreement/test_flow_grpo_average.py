"""The moving average against a plain re-statement of Flow-GRPO's loop (scripts/train_sd3.py)."""

import numpy as np
import pytest
import torch

from pcpo.config import EMA, load_experiment
from pcpo.training.ema import MovingAverage

UPDATES = 600  # 300 epochs of 2
CONFIG = EMA(decay=0.9, every=8)


def weights(update):
    """One-hot: an average of such weights says how much of each update's weights it holds."""
    return np.eye(UPDATES + 1)[update]


def original(calls):
    """The average after each update: ema.py:33-50, called at train_sd3.py:954-955."""
    global_step, average, after = 0, weights(0), []
    for _ in range(UPDATES):
        for micro_batch in range(calls):
            if micro_batch == calls - 1:  # sync_gradients: the optimiser steps and the counter too
                global_step += 1
            decay = min((1 + global_step) / (10 + global_step), CONFIG.decay)
            if (global_step + 1) % CONFIG.every == 0:
                average = average + (1 - decay) * (weights(global_step) - average)
        after.append(average)
    return np.array(after)


def ours(calls):
    parameter = torch.nn.Parameter(torch.from_numpy(weights(0)))
    average, after = MovingAverage({"p": parameter}, CONFIG, calls), []
    for update in range(1, UPDATES + 1):
        average.before_update(update - 1)
        parameter.data = torch.from_numpy(weights(update))
        average.after_update(update)
        after.append(average.average["p"].clone().numpy())
    return np.array(after)


def lag(averages):
    """Mean age of the weights in the average, in updates, over the updates after the 200th."""
    done = np.arange(1, UPDATES + 1)
    ages = done[:, None] - np.arange(UPDATES + 1)
    return (averages * ages).sum(axis=1)[200:].mean()


@pytest.mark.parametrize("calls", [1, 4, 8])
def test_the_average_is_the_originals_after_every_update(calls):
    np.testing.assert_allclose(ours(calls), original(calls), atol=1e-12)


def test_lag():
    """19.5 updates, as measured of the official code with 4 calls an update."""
    assert lag(original(4)) == pytest.approx(19.5, abs=0.05)
    assert lag(ours(4)) == pytest.approx(19.5, abs=0.05)


def test_lag_is_that_of_the_measurement():
    """The definition above gives 74 for the rule it was set beside: once at updates 8, 16, ..."""
    average, after = weights(0), []
    for update in range(1, UPDATES + 1):
        if update % 8 == 0:
            decay = min((1 + update) / (10 + update), 0.9)
            average = average + (1 - decay) * (weights(update) - average)
        after.append(average)
    assert lag(np.array(after)) == pytest.approx(74, abs=0.5)


def test_calls_of_an_update_are_the_codes_micro_batches():
    """config/grpo.py: accumulation over 4; Table 7's 512 images of configuration 9 make it 8."""
    calls = {
        scale: [load_experiment(number, scale).average_calls for number in (8, 9)]
        for scale in ("original", "paper", "demo")
    }
    assert calls == {"original": [4, 4], "paper": [4, 8], "demo": [1, 1]}
    chosen = load_experiment(8)  # 32 images an update
    for images, expected in ((1, 32), (5, 7), (32, 1), (64, 1), (None, 1)):
        ema = chosen.ema.model_copy(update={"images_per_call": images})
        assert chosen.model_copy(update={"ema": ema}).average_calls == expected
