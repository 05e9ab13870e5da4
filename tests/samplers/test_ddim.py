"""DDIM against diffusers' scheduler and torch.distributions, in float64."""

import pytest
import torch
from diffusers import DDIMScheduler
from torch.distributions import Normal

from pcpo.samplers.ddim import ddim

SD = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "timestep_spacing": "leading",
}


@pytest.mark.parametrize("steps", [10, 50])
@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_step_is_diffusers_step(steps, eta):
    sampler = ddim(SD, steps, eta)
    scheduler = DDIMScheduler.from_config(SD)
    scheduler.alphas_cumprod = torch.cumprod(1 - scheduler.betas.double(), 0)
    scheduler.final_alpha_cumprod = scheduler.alphas_cumprod[0]
    scheduler.set_timesteps(steps)
    assert sampler.timesteps.tolist() == scheduler.timesteps.tolist()
    generator = torch.Generator().manual_seed(0)
    x, eps, z = torch.randn(3, 2, 4, 8, 8, generator=generator, dtype=torch.float64)
    for index, t in enumerate(scheduler.timesteps):
        expected = scheduler.step(eps, t, x, eta=eta, variance_noise=z).prev_sample
        ours = sampler.step(torch.full((2,), index), x, eps, z)
        # diffusers keeps the final step at alpha 0 where the previous timestep is negative
        torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-9)


def test_sd15_sigmas_are_ddpo_pytorchs():
    sampler = ddim(SD, 50)
    sigma = dict(zip(sampler.timesteps.int().tolist(), sampler.sigma.tolist(), strict=True))
    published = {981: 0.454, 781: 0.391, 581: 0.323, 381: 0.252, 101: 0.143, 21: 0.0395, 1: 0.0206}
    for t, value in published.items():
        assert sigma[t] == pytest.approx(value, rel=3e-3)


def test_log_prob_is_the_mean_gaussian_density():
    sampler = ddim(SD, 10)
    generator = torch.Generator().manual_seed(1)
    x, eps, z = torch.randn(3, 4, 2, 3, 3, generator=generator, dtype=torch.float64)
    step = torch.tensor([0, 3, 7, 9])
    x_next = sampler.step(step, x, eps, z)
    std = sampler.sigma[step].reshape(-1, 1, 1, 1)
    expected = Normal(sampler.mean(step, x, eps), std).log_prob(x_next).mean(dim=(1, 2, 3))
    torch.testing.assert_close(sampler.log_prob(step, x, eps, x_next), expected)


def test_without_noise_it_is_diffusers_ddim():
    sampler, scheduler = ddim(SD, 10).deterministic(), DDIMScheduler.from_config(SD)
    scheduler.set_timesteps(10)
    x, eps = torch.randn(2, 2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    for index, t in enumerate(scheduler.timesteps):
        expected = scheduler.step(eps, t, x, eta=0.0).prev_sample
        ours = sampler.step(torch.full((2,), index), x, eps, torch.full_like(x, 9.0))
        torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_too_many_steps_are_refused():
    with pytest.raises(ValueError, match=r"sampler\.steps"):
        ddim(SD, 1001)
