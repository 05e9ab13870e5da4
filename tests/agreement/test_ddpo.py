"""DDPO and DanceGRPO on SD: DDIM's step and density, fp16 latents; DDPO's advantages.

Limits are twice the largest differences of a run of the official code beside ours.
"""

from collections import deque

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from pcpo import advantages
from pcpo.config import load_experiment
from pcpo.credit import ddim_weights
from pcpo.samplers.ddim import ddim
from pcpo.trajectory import sample
from tests.agreement import originals
from tests.agreement.inputs import latents
from tests.agreement.steps import assert_steps_agree
from tests.samplers.test_ddim import SD

LATENT = (4, 64, 64)


def schedule(steps):
    """(float32 cumulative alphas, timesteps, the next ones): ddim_with_logprob.py:93-105."""
    scheduler = DDIMScheduler.from_config(SD)
    scheduler.set_timesteps(steps)
    return (
        scheduler.alphas_cumprod,
        scheduler.timesteps,
        (scheduler.timesteps - 1000 // steps).clamp(min=0),
    )


@pytest.mark.parametrize("steps", [10, 50])
def test_steps_and_densities(steps):
    alphas, timesteps, following = schedule(steps)
    ours = ddim(SD, steps)
    assert ours.timesteps.tolist() == timesteps.tolist()

    def gaussian(i, x, prediction):
        return originals.ddim(alphas, timesteps[i], following[i], x, prediction)

    deviations = [gaussian(i, torch.zeros(1), torch.zeros(1))[1] for i in range(steps)]
    torch.testing.assert_close(ours.std.float(), torch.stack(deviations), rtol=0, atol=6e-7)
    weights = ddim_weights(ours.alpha_bar, ours.alpha_bar_prev, ours.sigma)
    assert_steps_agree(
        ours, weights, gaussian, LATENT, x_next=9e-6, log_prob=1.1e-5, ratio=1e-6, slope=5e-5
    )


@pytest.mark.parametrize(("storage", "size"), [(torch.float16, 1e-4), (torch.bfloat16, 1e-3)])
def test_latents_in_half_precision_move_the_on_policy_ratio_as_much(storage, size):
    """The density is taken before a latent is rounded, and again, in the update, after it."""
    alphas, timesteps, following = schedule(10)
    x, prediction = latents(2, LATENT)
    noise = latents(10, LATENT, seed=1).transpose(0, 1)

    def predict(x, t):  # of something like the noise in x, so that latents stay in their range
        return 0.9 * x + 0.1 * prediction

    expected, current = [], x.to(storage).float()
    for i in range(10):
        mean, std = originals.ddim(alphas, timesteps[i], following[i], current, predict(current, 0))
        exact = mean + std * noise[:, i]
        current = exact.to(storage).float()
        old, new = (originals.log_density(at, mean, std) for at in (exact, current))
        expected.append(new - old)

    ours = ddim(SD, 10)
    kept = sample(predict, ours, x, noise, storage, keep="sampler")
    found = []
    for i in range(10):
        step = torch.full((2,), i)
        here, following_one = kept.latents[:, i], kept.next_latents[:, i]
        new = ours.log_prob(step, here, predict(here, 0), following_one)
        found.append(new - kept.log_probs[:, i])
    assert size / 4 < expected[-1].abs().max() < 4 * size  # the last of 10 steps
    torch.testing.assert_close(found[-1], expected[-1], rtol=0.05, atol=2e-6)
    torch.testing.assert_close(torch.stack(found), torch.stack(expected), rtol=0.05, atol=2e-5)


def ddpo_advantages(epochs, buffer, min_count):
    """ddpo_pytorch/stat_tracking.py:11-30, then the clamp of scripts/train.py:539; float32."""
    seen = {}
    for ids, rewards in epochs:
        values = np.empty_like(rewards)
        for prompt in np.unique(ids):
            own = rewards[ids == prompt]
            history = seen.setdefault(prompt, deque(maxlen=buffer))
            history.extend(own)
            of = rewards if len(history) < min_count else history
            values[ids == prompt] = (own - np.mean(of)) / (np.std(of) + 1e-6)
        yield np.clip(values, -5, 5)


def test_advantages_over_epochs_with_an_overflowing_buffer():
    config = load_experiment(1).advantage
    assert (config.buffer, config.min_count, config.epsilon, config.clip) == (32, 16, 1e-6, 5)
    rng = np.random.default_rng(0)
    epochs = []
    for _ in range(8):
        # About 10 of each prompt: min_count is met in the second epoch, the buffer full in the
        # fourth.
        rewards = 5.5 + 0.3 * rng.standard_normal(60)
        epochs.append((rng.integers(6, size=60), rewards.astype(np.float32)))
    epochs[0][1][0] = 9.0  # far out: clamped
    ours, found = advantages.build(config), []
    for (ids, rewards), expected in zip(epochs, ddpo_advantages(epochs, 32, 16), strict=True):
        found.append(ours(ids, rewards))
        np.testing.assert_allclose(found[-1], expected, atol=6e-6)
    assert (np.abs(found) == 5).sum() == 1
    assert {len(history) for history in ours.history.values()} == {32}
