"""Credit and trust region: each named method against its published formula, and the two apart."""

import pytest
import torch

from pcpo.config import load_arm
from pcpo.credit import credit_schedule
from pcpo.objectives import OBJECTIVES, Bounds, matching_log_ratio
from pcpo.samplers.ddim import ddim
from pcpo.samplers.flow_cps import flow_cps
from pcpo.samplers.flow_sde import dance_sde, flow_grpo_sde
from pcpo.trust_region import REGIONS, trust_region
from tests.samplers.test_ddim import SD

SAMPLERS = {
    "ddim": (ddim(SD, 10), False),
    "dance": (dance_sde(16, 3.0, 0.3), True),
    "flow": (flow_grpo_sde(10, 3.0, 0.7), True),
    "cps": (flow_cps(10, 3.0, 0.7), True),
}


def region_of(arm, sampler, skip_last):
    schedule = credit_schedule(arm.credit, sampler, skip_last, arm.over)
    run = sampler.with_sigma(schedule.sigmas)
    return trust_region(arm.trust_region, run, schedule, arm.over), schedule


def drawn(sampler, seed=0):
    """old and new predictions and noise (32 per step with noise, 3, 5, 5), advantages, steps."""
    generator = torch.Generator().manual_seed(seed)
    step = sampler.noisy.nonzero()[:, 0].repeat_interleave(32)
    old, z, change = torch.randn(3, len(step), 3, 5, 5, generator=generator, dtype=torch.float64)
    advantages = torch.randn(len(step), generator=generator, dtype=torch.float64)
    return old, old + 0.1 * change, z, advantages, step


def ours(arm, sampler, skip_last, new, old, z, advantages, step, clip_range):
    region, _ = region_of(arm, sampler, skip_last)
    quadratic = None if region.quadratic is None else region.quadratic[step]
    log_ratio = matching_log_ratio(new, old, z, region.linear[step], quadratic)
    share = 1.0 if region.share is None else region.share[step]
    bounds = Bounds.symmetric(clip_range * share)
    scale = 1.0 if region.scale is None else region.scale[step]
    return OBJECTIVES[arm.objective](log_ratio, advantages, bounds, scale)


def published(name, sampler, new, old, z, step):
    """What is inside the hinge and the factor of it, as jaylee2000/rsm has them for matching.

    sigma sqrt(dt) is the standard deviation of a step, and dt its interval, also on DDIM.
    """
    std, dt = sampler.std[step], sampler.intervals[step]
    weighted = sampler.weights[step].reshape(-1, 1, 1, 1) * (new - old)
    square = 0.5 * weighted.square().mean((1, 2, 3))
    cross = (weighted * z).mean((1, 2, 3))
    return {
        "tempflow": ((square + cross) * 2.25 * std, 1.0),
        "grpo_guard": (cross * std, 1 / dt),
        "cps_loss": ((square + cross) * 2 * std**2, 1.0),
        "fair_clip": ((square + cross) * std**2, 1 / std**2),
        "fair_clip_2": ((square + cross) * std**2, 1 / std**2 * std / dt),
    }[name]


@pytest.mark.parametrize("name", ["tempflow", "grpo_guard", "cps_loss", "fair_clip", "fair_clip_2"])
@pytest.mark.parametrize("kind", SAMPLERS)
def test_named_methods_are_their_published_formulas(name, kind):
    sampler, skip_last = SAMPLERS[kind]
    if name == "tempflow" and kind != "flow":
        pytest.skip("2.25 is the normaliser of Flow-GRPO's sampler (tests/test_credit.py)")
    arm = load_arm(name)
    old, new, z, advantages, step = drawn(sampler)
    new.requires_grad_(True)
    inside, after = published(name, sampler, new, old, z, step)
    clip_range = inside.detach().abs().quantile(0.7)  # holds back some terms and not others
    loss = ((clip_range * advantages.abs() + advantages * inside).clamp(min=0) * after).mean()
    result = ours(arm, sampler, skip_last, new, old, z, advantages, step, clip_range)
    assert 0.05 < result.gated_fraction < 0.25
    tolerance = {"rtol": 3e-3, "atol": 1e-9} if name == "tempflow" else {}  # 2.25 is 2.252
    torch.testing.assert_close(result.loss, loss, **tolerance)
    for own, theirs in zip(
        torch.autograd.grad(result.loss, new), torch.autograd.grad(loss, new), strict=True
    ):
        if name == "tempflow":  # a few terms lie between the two numbers
            assert (own - theirs).norm() < 0.05 * theirs.norm()
        else:
            torch.testing.assert_close(own, theirs, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("name", REGIONS)
@pytest.mark.parametrize("credit", ["native", "reweight", "tempflow", "flow_cps", "drop_largest"])
@pytest.mark.parametrize("kind", SAMPLERS)
def test_a_region_changes_no_credit(name, credit, kind):
    """The gradient on-policy is -A times the credit times mean(delta z), whatever the region."""
    sampler, skip_last = SAMPLERS[kind]
    base = load_arm("matching")
    arm = base.model_copy(update={"credit": credit, "trust_region": name})
    old, _, z, advantages, step = drawn(sampler)
    new = old.clone().requires_grad_(True)
    result = ours(arm, sampler, skip_last, new, old, z, advantages, step, 1e-4)
    [gradient] = torch.autograd.grad(result.loss, new)
    weights = credit_schedule(credit, sampler, skip_last).weights[step]
    expected = (advantages * weights / len(step)).reshape(-1, 1, 1, 1) * z / z[0].numel()
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("kind", SAMPLERS)
def test_what_each_region_sees(kind):
    sampler, skip_last = SAMPLERS[kind]
    native = sampler.weights
    pcpo = credit_schedule("reweight", sampler, skip_last)
    seen = {name: trust_region(name, sampler, pcpo, "all") for name in REGIONS}
    assert torch.equal(seen["credited"].linear, pcpo.weights)
    assert torch.equal(seen["proportional"].linear, pcpo.weights)
    assert torch.equal(seen["log_ratio"].linear, native)
    # Of the change of a step's mean, w std delta.
    torch.testing.assert_close(seen["mean_change"].linear, native * sampler.std**2)
    assert (seen["guard"].quadratic == 0).all()
    trained = pcpo.trained
    share = seen["per_step"].share
    ratio = (share / native)[sampler.noisy]
    torch.testing.assert_close(ratio, ratio[:1].expand(len(ratio)))
    assert share[trained].mean() == pytest.approx(1)


def test_native_credit_under_the_native_region_is_the_arm_matching():
    sampler, skip_last = SAMPLERS["ddim"]
    schedule = credit_schedule("native", sampler, skip_last)
    for name in ("credited", "log_ratio"):
        region = trust_region(name, sampler, schedule, "all")
        assert torch.equal(region.linear, schedule.weights)
        assert region.scale is None
        assert region.quadratic is None
