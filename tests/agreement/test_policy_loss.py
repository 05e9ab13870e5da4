"""The clipped loss of the three trainers, which is one formula, and the clip fraction they log."""

import pytest
import torch

from pcpo.objectives import Bounds, ppo_clip
from tests.agreement.inputs import distance, gradient
from tests.agreement.originals import policy_loss


@pytest.mark.parametrize("clip_range", [1e-4, 1.6e-3])
@pytest.mark.parametrize("images", [1, 4, 8, 512])
def test_loss_its_gradient_and_clip_fraction(clip_range, images):
    generator = torch.Generator().manual_seed(images)
    log_ratio = 2 * clip_range * torch.randn(images, generator=generator)
    raw = 3 * torch.randn(images, generator=generator)  # some beyond the clamp
    raw[::7] = 0.0  # equal rewards
    clamped = raw.clamp(-5, 5)  # ours are clamped where they are made
    zero = torch.zeros(images)

    loss, fraction = policy_loss(log_ratio, zero, raw, clip_range)
    ours = ppo_clip(log_ratio, clamped, Bounds.symmetric(clip_range))
    assert ours.loss == loss
    assert ours.clip_fraction == fraction
    if images == 512:
        assert 0.4 < fraction < 0.8
        original = gradient(lambda r: policy_loss(r, zero, raw, clip_range)[0], log_ratio)
        own = gradient(lambda r: ppo_clip(r, clamped, Bounds.symmetric(clip_range)).loss, log_ratio)
        assert distance(own, original) == 0
        assert 0.1 < (own[raw != 0] == 0).float().mean() < 0.6  # on one side the gradient is off


def test_on_policy_nothing_is_clipped():
    advantages = torch.tensor([-1.0, 0.0, 2.0])
    loss, fraction = policy_loss(torch.zeros(3), torch.zeros(3), advantages, 1e-4)
    ours = ppo_clip(torch.zeros(3), advantages, Bounds.symmetric(1e-4))
    assert (ours.loss, ours.clip_fraction) == (loss, fraction)
    assert fraction == 0
