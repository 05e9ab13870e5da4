"""Clip ranges that follow what was clipped: quantiles against planted distributions."""

import pytest
import torch

from pcpo.objectives import clipped_terms
from pcpo.training.clip_range import ClipRange


def terms(log_ratio, sampler_log_ratio, sign, step=None):
    step = torch.zeros(len(log_ratio), dtype=torch.long) if step is None else step
    found = {"log_ratio": log_ratio, "sampler_log_ratio": sampler_log_ratio, "sign": sign}
    return {key: value.reshape(1, -1, 4) for key, value in (found | {"step": step}).items()}


def normal(count, seed):
    return torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("share", [None, torch.tensor([0.5, 1.5], dtype=torch.float64)])
def test_matched_clips_as_often_as_the_samplers_log_ratio(share):
    clip = ClipRange("matched", 1e-4, share)
    step = torch.arange(4000) % 2
    own, sampler = 3e-5 * normal(4000, 0), 1.2e-4 * normal(4000, 1)
    sign = normal(4000, 2).sign()
    for half in (slice(0, 2000), slice(2000, 4000)):
        clip.observe(terms(own[half], sampler[half], sign[half], step[half]))
    clip.end_epoch()
    bounds = clip.bounds(step, torch.float64)
    clipped, _ = clipped_terms(own, sign, bounds)
    target = (sampler.abs() > 1e-4).double().mean()
    assert 0.3 < target < 0.5
    assert clipped.double().mean() == pytest.approx(target.item(), abs=1e-3)
    assert clip.lower == clip.upper < 1
    kept = ClipRange("matched", 1e-4, share)
    kept.restore(clip.state())
    assert kept.state() == clip.state()


def test_balanced_has_the_same_share_of_each_sign():
    clip = ClipRange("balanced", 1e-4)
    sign = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(2000)
    # Positive terms move far more than negative ones.
    own = torch.where(sign > 0, 2e-4, 6e-5) * normal(4000, 3)
    before = (sign * own > 1e-4).double()
    assert before[sign > 0].mean() > 4 * before[sign < 0].mean()
    clip.observe(terms(own, own, sign))
    clip.end_epoch()
    _, gated = clipped_terms(own, sign, clip.bounds(torch.zeros(4000), torch.float64))
    for of_sign in (1, -1):
        share = gated[sign == of_sign].double().mean()
        assert share == pytest.approx(before.mean().item(), abs=1e-3)
    assert clip.upper > 1 > clip.lower


def test_nothing_clipped_changes_nothing():
    for kind in ("matched", "balanced"):
        clip = ClipRange(kind, 1e-4)
        zeros = torch.zeros(40, dtype=torch.float64)
        clip.observe(terms(zeros, zeros, torch.ones(40, dtype=torch.float64)))
        clip.end_epoch()
        assert clip.state() == {"lower": 1.0, "upper": 1.0}


def test_other_kinds_are_fixed():
    for kind, upper in (("fixed", 1.0), ("higher", 1.4)):
        clip = ClipRange(kind, 1e-4)
        own = normal(400, 4)
        clip.observe(terms(own, own, own.sign()))
        clip.end_epoch()
        assert clip.state() == {"lower": 1.0, "upper": upper}
