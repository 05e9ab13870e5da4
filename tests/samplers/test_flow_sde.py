"""The flow samplers against the formulas of the two public codebases."""

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from pcpo.samplers.flow_sde import dance_sde, flow_grpo_sde


def _latents(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 1, 2, 4, 4, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("steps", [12, 16])
def test_dance_step_is_dancegrpos(steps):
    """train_grpo_flux_lora.py:69-108: mu = x - h v + 0.5 eta^2 h score, std = eta sqrt(h)."""
    sampler = dance_sde(steps, 3.0, 0.3)
    x, v, z = _latents(3)
    sigmas = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    sigmas = 3 * sigmas / (1 + 2 * sigmas)
    for i in range(steps):
        h = sigmas[i] - sigmas[i + 1]
        x0 = x - sigmas[i] * v
        score = -(x - (1 - sigmas[i]) * x0) / sigmas[i] ** 2
        expected = x - h * v + 0.5 * 0.09 * h * score + 0.3 * h.sqrt() * z
        torch.testing.assert_close(sampler.step(torch.tensor([i]), x, v, z), expected)


# What both FLUX scripts of DanceGRPO hand to the network at a shift of 3. They truncate in float32:
# 875 (10 steps) and 600 (12 steps) fall to the number below, 900, 750 and 500 do not.
OFFICIAL = {
    10: [1000, 964, 923, 874, 818, 750, 666, 562, 428, 250],
    12: [1000, 970, 937, 900, 857, 807, 750, 681, 599, 500, 375, 214],
    16: [1000, 978, 954, 928, 900, 868, 833, 794, 750, 700, 642, 576, 500, 409, 300, 166],
}


@pytest.mark.parametrize("steps", OFFICIAL)
def test_dance_timesteps_are_the_original_scripts(steps):
    assert dance_sde(steps, 3.0, 0.3).timesteps.tolist() == OFFICIAL[steps]


def test_dance_decodes_x0():
    sampler = dance_sde(12, 3.0, 0.3)
    x, v, _ = _latents(3)
    torch.testing.assert_close(sampler.final(x, x + 1, v), x - sampler.t[-1] * v)


def test_flow_grpo_step_is_flow_grpos():
    """sd3_sde_with_logprob.py:34-68."""
    sampler = flow_grpo_sde(10, 3.0, 0.7)
    x, v, z = _latents(3)
    sigmas = torch.cat([sampler.t, torch.zeros(1, dtype=torch.float64)])
    for i in range(10):
        s, dt = sigmas[i], sigmas[i + 1] - sigmas[i]
        std_dev = torch.sqrt(s / (1 - (sigmas[1] if s == 1 else s))) * 0.7
        mean = x * (1 + std_dev**2 / (2 * s) * dt)
        mean = mean + v * (1 + std_dev**2 * (1 - s) / (2 * s)) * dt
        expected = mean + std_dev * torch.sqrt(-dt) * z
        torch.testing.assert_close(sampler.step(torch.tensor([i]), x, v, z), expected)
        v_ref = v + 0.1
        mean_ref = mean + 0.1 * (1 + std_dev**2 * (1 - s) / (2 * s)) * dt
        published_kl = ((mean - mean_ref) ** 2).mean() / (2 * std_dev**2)
        ours = sampler.kl_scale()[i] * (v - v_ref).square().mean()
        torch.testing.assert_close(ours, published_kl)


@pytest.mark.parametrize("steps", [10, 40])
def test_without_noise_it_is_diffusers_euler_step(steps):
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(steps)
    sampler = flow_grpo_sde(steps, 3.0, 0.7).deterministic()
    x, v, _ = (latents.float() for latents in _latents(3))
    for i, t in enumerate(scheduler.timesteps):
        expected = scheduler.step(v, t, x).prev_sample
        ours = sampler.step(torch.tensor([i]), x, v, torch.full_like(x, 9.0))
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)


def test_flow_grpo_timesteps_are_diffusers():
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(10)
    sampler = flow_grpo_sde(10, 3.0, 0.7)
    torch.testing.assert_close(sampler.timesteps.float(), scheduler.timesteps)
    published = [0.700, 0.743, 0.536, 0.446, 0.392, 0.353, 0.319, 0.282, 0.225, 0.0063]
    assert sampler.std.tolist() == pytest.approx(published, abs=6e-4)
