"""Coefficients-preserving sampling against the flow's own interpolation, and its native weights."""

import math

import pytest
import torch

from pcpo import samplers
from pcpo.evaluation.generation import generate
from pcpo.samplers.flow_cps import flow_cps
from pcpo.samplers.flow_sde import flow_grpo_sde
from tests.small import PROMPTS, experiment, policy


def _latents(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 1, 2, 4, 4, generator=generator, dtype=torch.float64)


def test_step_is_flowcps():
    """sd3_sde_with_logprob.py:51-64, on the timesteps of Flow-GRPO."""
    sampler, native = flow_cps(10, 3.0, 0.7), flow_grpo_sde(10, 3.0, 0.7)
    assert torch.equal(sampler.timesteps, native.timesteps)
    x, v, z = _latents(3)
    times = torch.cat([native.t, torch.zeros(1, dtype=torch.float64)])
    for i in range(10):
        now, then = times[i], times[i + 1]
        std = then * math.sin(0.7 * math.pi / 2)
        clean, noise = x - now * v, x + v * (1 - now)
        expected = clean * (1 - then) + noise * torch.sqrt(then**2 - std**2) + std * z
        torch.testing.assert_close(sampler.step(torch.tensor([i]), x, v, z), expected)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_the_flows_coefficients_are_kept_at_any_noise(share):
    """Clean latents and noise known exactly: x' is (1 - t') x0 + t' times a unit Gaussian."""
    sampler = flow_cps(10, 3.0, 0.7)
    sampler = sampler.with_sigma(share * sampler.t_next)
    x0, x1 = _latents(2)
    step = torch.arange(10)
    t, t_next = (values.reshape(-1, 1, 1, 1) for values in (sampler.t, sampler.t_next))
    x0, x1 = x0.expand(10, 2, 4, 4), x1.expand(10, 2, 4, 4)
    mean = sampler.mean(step, (1 - t) * x0 + t * x1, x1 - x0)
    noise = (mean - (1 - t_next) * x0) / x1  # of x1, in the mean; the rest of it is fresh
    std = sampler.std.reshape(-1, 1, 1, 1)
    torch.testing.assert_close(noise**2 + std**2, (t_next**2).expand_as(noise))


def test_without_noise_it_is_eulers_step_of_the_flow():
    cps, sde = (make(10, 3.0, 0.7).deterministic() for make in (flow_cps, flow_grpo_sde))
    x, v, z = _latents(3)
    for i in range(10):
        step = torch.tensor([i])
        torch.testing.assert_close(cps.step(step, x, v, z), sde.step(step, x, v, 9 * z))
        torch.testing.assert_close(cps.step(step, x, v, z), x - sde.dt[i] * v)


@pytest.mark.parametrize("eta", [0.7, 1.0])
@pytest.mark.parametrize("steps", [8, 10])
def test_the_last_step_gives_the_clean_latents_and_steps_of_little_noise_no_weight(steps, eta):
    sampler = flow_cps(steps, 3.0, eta)
    x, v, z = _latents(3)
    last = torch.tensor([steps - 1])
    torch.testing.assert_close(sampler.step(last, x, v, z), x - sampler.t[-1] * v)
    assert sampler.noisy.tolist() == [True] * (steps - 2) + [False] * 2
    assert sampler.weights[-2:].tolist() == [0, 0]
    # What is left out: a step that has most of the weight by its density, and by FlowCPS's little.
    i = steps - 2
    t, t_next, sigma = sampler.t[i], sampler.t_next[i], sampler.sigma[i]
    weight = (t * (1 - t_next) - (1 - t) * torch.sqrt(t_next**2 - sigma**2)) / sigma
    assert weight > 9 * sampler.weights.sum()
    assert weight * sigma**2 < 0.02 * (sampler.weights * sampler.sigma**2).sum()


def test_the_scale_of_the_kl_is_that_of_flow_grpos_sampler():
    """|dt| times the KL divergence of the two Gaussian steps per dimension."""
    for sampler in (flow_cps(10, 3.0, 0.7), flow_grpo_sde(10, 3.0, 0.7)):
        x, v, change = _latents(3)
        for i in sampler.noisy.nonzero()[:, 0]:
            step = i[None]
            moved = sampler.mean(step, x, v + change) - sampler.mean(step, x, v)
            divergence = moved.square().mean() / (2 * sampler.std[i] ** 2)
            ours = sampler.kl_scale()[i] * change.square().mean()
            torch.testing.assert_close(ours, sampler.dt[i] * divergence)


@pytest.mark.parametrize("eta", [0.2, 0.7, 1.0])
def test_its_own_weights_are_solved_by_its_own_sigma(eta):
    sampler = flow_cps(10, 3.0, eta)
    sigma, feasible = sampler.sigma_for(sampler.weights)
    assert torch.equal(feasible, sampler.noisy)
    torch.testing.assert_close(sigma, sampler.sigma)


def test_base_models_images_are_finite(models):
    chosen = experiment(8, sampler={"kind": "flow_cps", "steps": 6})
    base = policy(models, chosen)
    native = samplers.build(chosen.sampler, base.scheduler_config)
    sigma, _ = native.sigma_for(4.0 * native.dt)
    items = [(prompt, 0) for prompt in PROMPTS]
    made = [
        torch.stack(list(generate(base, sampler, 1.0, items, len(items)))).float()
        for sampler in (native, native.with_sigma(sigma), native.deterministic())
    ]
    for images in made:
        assert images.std() > 1
    assert not torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])
