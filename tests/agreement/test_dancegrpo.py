"""DanceGRPO: FLUX's step, density and timesteps, and the advantages of both its trainers."""

import numpy as np
import pytest
import torch

from pcpo import advantages
from pcpo.config import load_experiment
from pcpo.credit import flow_weights
from pcpo.samplers.flow_sde import dance_sde
from tests.agreement import originals
from tests.agreement.inputs import latents
from tests.agreement.steps import assert_steps_agree

LATENT = (45 * 45, 64)  # 720 pixels, packed


@pytest.mark.parametrize("steps", [12, 16])
def test_steps_and_densities(steps):
    sigmas, ours = originals.flux_sigmas(steps, 3.0), dance_sde(steps, 3.0, 0.3)

    def gaussian(i, x, prediction):
        return originals.flux(sigmas, i, x, prediction)[:2]

    assert_steps_agree(
        ours, flow_weights(ours.t, ours.dt, ours.sigma), gaussian, LATENT,
        x_next=1.5e-6, log_prob=2.8e-6, ratio=1e-6, slope=5e-6,
    )  # fmt: skip


@pytest.mark.parametrize("steps", [6, 10, 12, 16, 20, 24])
def test_the_network_is_given_the_originals_timesteps(steps):
    """int(sigma * 1000) of a float32 sigma: train_grpo_flux_lora.py:169, 450."""
    expected = [int(sigma * 1000) for sigma in originals.flux_sigmas(steps, 3.0)][:steps]
    assert dance_sde(steps, 3.0, 0.3).timesteps.tolist() == expected


def test_the_image_is_the_last_prediction_of_x0():
    """train_grpo_flux_lora.py:192."""
    x, prediction, _ = latents(3, LATENT)
    sigmas, ours = originals.flux_sigmas(12, 3.0), dance_sde(12, 3.0, 0.3)
    torch.testing.assert_close(
        ours.final(x, x + 1, prediction), originals.flux(sigmas, 11, x, prediction)[2]
    )


def group_advantages(rewards):
    """train_grpo_sd.py:540-546 and train_grpo_flux_lora.py:481-487; float32, `(groups, images)`."""
    values = [(group - group.mean()) / (group.std() + 1e-8) for group in rewards.contiguous()]
    return torch.clamp(torch.stack(values), -5, 5)


@pytest.mark.parametrize("number", [5, 6])
def test_advantages(number):
    chosen = load_experiment(number)
    shape = (chosen.batch.prompts_per_iteration, chosen.batch.images_per_prompt)
    generator = torch.Generator().manual_seed(0)
    rewards = 0.3 + 0.02 * torch.randn(shape, generator=generator)  # of HPS's size
    ids = np.repeat(np.arange(shape[0]), shape[1])
    ours = advantages.build(chosen.advantage)(ids, rewards.flatten().numpy())
    np.testing.assert_allclose(ours, group_advantages(rewards).flatten().numpy(), atol=8e-6)


def test_equal_rewards_are_where_the_two_differ():
    """A departure on purpose: float32 rounding over 1e-8 there, nothing to learn from here."""
    groups = torch.linspace(0.2, 0.4, 200)[:, None].expand(200, 12)
    ids = np.repeat(np.arange(200), 12)
    ours = advantages.build(load_experiment(6).advantage)(ids, groups.flatten().numpy())
    assert np.abs(ours).max() < 1e-6
    assert 0.5 < group_advantages(groups).abs().max() < 1
