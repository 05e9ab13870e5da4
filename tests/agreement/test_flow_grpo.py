"""Flow-GRPO on SD3.5: step, density, KL, validation's step, and advantages."""

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from pcpo import advantages
from pcpo.config import load_experiment
from pcpo.credit import flow_weights
from pcpo.objectives import kl
from pcpo.samplers.flow_sde import flow_grpo_sde
from pcpo.training.validation import validation_sampler
from tests.agreement import originals
from tests.agreement.inputs import distance, gradient, latents, step_of
from tests.agreement.steps import assert_steps_agree

LATENT = (16, 64, 64)
SCHEDULER = {"num_train_timesteps": 1000, "shift": 3.0}


def sigmas_of(steps):
    """float32, as the pipeline's own scheduler sets them, with the 0 at the end."""
    scheduler = FlowMatchEulerDiscreteScheduler(**SCHEDULER)
    scheduler.set_timesteps(steps)
    return scheduler.timesteps, scheduler.sigmas


@pytest.mark.parametrize("steps", [8, 10])
def test_steps_and_densities(steps):
    timesteps, sigmas = sigmas_of(steps)
    ours = flow_grpo_sde(steps, 3.0, 0.7)
    torch.testing.assert_close(ours.timesteps.float(), timesteps, rtol=0, atol=1e-4)

    def gaussian(i, x, prediction):
        return originals.sd3(sigmas, i, x, prediction)[:2]

    assert_steps_agree(
        ours, flow_weights(ours.t, ours.dt, ours.sigma), gaussian, LATENT,
        x_next=3e-6, log_prob=1e-6, ratio=1e-6, slope=5e-5,
    )  # fmt: skip


@pytest.mark.parametrize("steps", [8, 10])
def test_kl_and_its_gradient(steps):
    _, sigmas = sigmas_of(steps)
    ours = flow_grpo_sde(steps, 3.0, 0.7)
    x, reference, direction = latents(3, LATENT)
    prediction = reference + 0.02 * direction
    for i in range(steps - 1):  # the last is not trained

        def original(p, i=i):
            mean, _, std_dev = originals.sd3(sigmas, i, x, p)
            mean_ref = originals.sd3(sigmas, i, x, reference)[0]
            return originals.sd3_kl(mean, mean_ref, std_dev)

        def mine(p, i=i):
            return kl(p, reference, ours.kl_scale().float()[step_of(i)])

        torch.testing.assert_close(mine(prediction), original(prediction), rtol=5e-6, atol=0)
        assert distance(gradient(mine, prediction), gradient(original, prediction)) < 3e-4


@pytest.mark.parametrize("number", [8, 9])
def test_validation_takes_its_step_without_noise(number):
    """scripts/train_sd3.py:253-258: 40 steps at noise level 0."""
    _, sigmas = sigmas_of(40)
    ours = validation_sampler(load_experiment(number), SCHEDULER)
    assert len(ours) == 40
    x, prediction, noise = latents(3, LATENT)
    for i in range(40):
        expected, std, _ = originals.sd3(sigmas, i, x, prediction, noise_level=0)
        assert std == 0
        found = ours.step(step_of(i), x, prediction, noise)
        torch.testing.assert_close(found, expected, rtol=0, atol=3e-6)


def test_advantages():
    """flow_grpo/stat_tracking.py:11-31 with global_std, float64; clamp of train_sd3.py:881."""
    chosen = load_experiment(8)
    rng = np.random.default_rng(0)
    ids = rng.permutation(np.repeat(np.arange(8), 8))
    rewards = rng.random(64)
    rewards[ids == 3] = 0.25  # a group of equal rewards
    expected = np.empty(64)
    for prompt in range(8):
        own = rewards[ids == prompt]
        expected[ids == prompt] = (own - np.mean(own)) / (np.std(rewards) + 1e-4)
    ours = advantages.build(chosen.advantage)(ids, rewards)
    np.testing.assert_allclose(ours, np.clip(expected, -5, 5), atol=1e-15)
    assert (ours[ids == 3] == 0).all()
