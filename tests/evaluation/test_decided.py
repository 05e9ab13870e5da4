"""When a reward is decided, against a Gaussian world in which the shares have a closed form.

Images are sums of waves with independent Gaussian amplitudes of known variances. The best
prediction of the noise is linear there, so the last latents are a sum over the steps of known
multiples of their noises.
"""

import math

import numpy as np
import pytest
import torch

import pcpo.rewards
from pcpo.evaluation.decided import decided, scores_by_shared_steps, scores_of_images
from pcpo.samplers.ddim import ddim
from tests.samplers.test_ddim import SD
from tests.small import PROMPTS, experiment, policy

SAMPLER = ddim(SD, 10)
SIZE = 32


def gaussian(variance):
    """The best prediction for latents whose entries have these variances, `(...)`."""

    def predict(x, timesteps):
        bar = SAMPLER.alpha_bar[SAMPLER.timesteps == timesteps[0]].to(x.dtype)
        return (1 - bar).sqrt() * x / (bar * variance + 1 - bar)

    return predict


def multiples(variance):
    """Of the initial noise and of each step's, in the last latents of entries `(...)` with these
    variances: `(T + 1, ...)`.
    """
    bar, prev, sigma = (
        values.reshape(-1, *[1] * variance.ndim)
        for values in (SAMPLER.alpha_bar, SAMPLER.alpha_bar_prev, SAMPLER.sigma)
    )
    predicted = (1 - bar).sqrt() / (bar * variance + 1 - bar)
    kept = prev.sqrt() * (1 - (1 - bar).sqrt() * predicted) / bar.sqrt()
    kept = kept + (1 - prev - sigma**2).sqrt() * predicted
    after = torch.cat([kept.flip(0).cumprod(0).flip(0), torch.ones_like(kept[:1])])
    return after * torch.cat([torch.ones_like(sigma[:1]), sigma])


def drawn(batch, *shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, batch, len(SAMPLER) + 1, *shape, generator=generator)


def shares(scores, prompts=20):
    return decided(scores.unflatten(-1, (prompts, -1)).double().numpy())


def test_shares_of_a_linear_reward_are_the_closed_form():
    variance = torch.tensor([30.0, 1.0, 0.03, 1e-3])
    noise, fresh = drawn(4000, 4)
    scores = scores_by_shared_steps(
        gaussian(variance), SAMPLER, noise, fresh, lambda latents: latents.T
    )
    squares = multiples(variance) ** 2
    for number, expected in enumerate((squares.cumsum(0) / squares.sum(0)).T.numpy()):
        found, error = shares(scores[:, number])
        assert found[-1] == 1 and error[-1] == 0
        np.testing.assert_allclose(found, expected, atol=0.06)
        assert (np.abs(found - expected)[:-1] < 4.5 * error[:-1]).all()
        # A square is decided by the square of the share.
        found, _ = shares(scores[:, number] ** 2)
        np.testing.assert_allclose(found, expected**2, atol=0.12)


BASIS = torch.cos(math.pi * (torch.arange(SIZE) + 0.5) * torch.arange(SIZE)[:, None] / SIZE)


def waves(amplitudes):
    """Images uint8 (B, 3, SIZE, SIZE) of cosine amplitudes (B, SIZE, SIZE) around a light grey."""
    light = 170 + torch.einsum("bij,iy,jx->byx", amplitudes, BASIS, BASIS)
    return light.round().clamp(0, 255).to(torch.uint8)[:, None].expand(-1, 3, -1, -1)


def test_where_the_drawing_lies_is_decided_early_and_its_texture_late():
    """Coarse waves vary much and fine ones little, as in images."""
    order = torch.arange(SIZE)[:, None] ** 2 + torch.arange(SIZE) ** 2
    variance = 900 / (1.0 + order) ** 2
    variance[0, 0] = 0.01
    rewards = [pcpo.rewards.load(name) for name in ("layout", "texture")]

    def score(latents):
        images = waves(latents)
        return torch.stack([reward(images, [""] * len(images)) for reward in rewards])

    noise, fresh = drawn(600, SIZE, SIZE)
    scores = scores_by_shared_steps(gaussian(variance), SAMPLER, noise, fresh, score)
    (layout, _), (texture, error) = (shares(scores[:, number]) for number in range(2))
    middle = len(SAMPLER) // 2
    assert layout[middle] > 0.5
    assert texture[middle] < 0.5
    # The texture is linear in the waves.
    corners = torch.zeros(SIZE, SIZE)
    for rows in (slice(0, 8), slice(-8, None)):
        for columns in (slice(0, 8), slice(-8, None)):
            corners[rows, columns] = torch.tensor([1.0, -1, -1, 1, 1, -1, -1, 1])
    squares = (multiples(variance) * (BASIS @ corners @ BASIS.T)) ** 2
    squares = squares.sum((1, 2))
    expected = (squares.cumsum(0) / squares.sum()).numpy()
    assert (np.abs(texture - expected)[:-1] < 4.5 * error[:-1] + 0.02).all()


def test_images_of_a_policy(models):
    """Rows of a batch are those of its images one by one, and the last row has one noise alone."""
    chosen = experiment(1)
    base = policy(models, chosen)
    sampler = ddim(base.scheduler_config, 3)
    rewards = [pcpo.rewards.load(name) for name in ("layout", "texture")]
    items = [(prompt, number) for prompt in PROMPTS[:2] for number in range(3)]

    def found(items, batch, seed=0):
        parts = scores_of_images(base, sampler, 2.0, rewards, items, batch, seed)
        return torch.cat(list(parts), dim=-1)

    whole = found(items, 6)
    assert whole.shape == (4, 2, 6)
    torch.testing.assert_close(found(items, 2), whole, rtol=0, atol=1e-4)
    assert not torch.allclose(found(items, 6, seed=1), whole, atol=1e-3)
    assert (whole[0] - whole[-1]).abs().max() > (whole[2] - whole[-1]).abs().max() > 0


def test_what_no_share_can_be_taken_of():
    scores = np.random.default_rng(0).normal(size=(4, 3, 5))
    with pytest.raises(ValueError, match="3 prompts with 1 images"):
        decided(scores[:, :, :1])
    with pytest.raises(ValueError, match="all score alike"):
        decided(np.ones_like(scores))
