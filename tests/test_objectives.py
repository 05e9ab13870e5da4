"""Eq. (4)/(8) against the difference of Gaussian log-densities; objectives against their gates."""

import pytest
import torch
from torch.distributions import Normal

from pcpo import credit, objectives
from pcpo.samplers.ddim import ddim
from pcpo.samplers.flow_cps import flow_cps
from pcpo.samplers.flow_sde import dance_sde, flow_grpo_sde
from tests.samplers.test_ddim import SD

CLIP = objectives.Bounds.symmetric(1e-4)


@pytest.mark.parametrize(
    "sampler",
    [
        *(ddim(SD, 50), ddim(SD, 10), dance_sde(12, 3.0, 0.3)),
        *(flow_grpo_sde(10, 3.0, 0.7), flow_cps(10, 3.0, 0.7)),
    ],
    ids=["ddim50", "ddim10", "dance", "flow_grpo", "flow_cps"],
)
def test_matching_is_the_difference_of_the_baselines_log_probabilities(sampler):
    weights = sampler.weights
    generator = torch.Generator().manual_seed(0)
    step = sampler.noisy.nonzero()[:, 0]  # the others have no density
    shape = (len(step), 4, 6, 6)
    x, old, z, delta = torch.randn(4, *shape, generator=generator, dtype=torch.float64)
    new = old + 0.01 * delta
    std = sampler.std[step].reshape(-1, 1, 1, 1)
    x_next = sampler.mean(step, x, old) + std * z
    dims = (1, 2, 3)
    density = [
        Normal(sampler.mean(step, x, p), std).log_prob(x_next).mean(dims) for p in (new, old)
    ]
    ours = objectives.matching_log_ratio(new, old, z, weights[step])
    torch.testing.assert_close(ours, density[0] - density[1], rtol=0, atol=1e-14)


def test_equal_predictions_have_ratio_one_exactly():
    prediction = torch.randn(3, 4, 5)
    log_ratio = objectives.matching_log_ratio(prediction, prediction, torch.randn(3, 4, 5), 2.0)
    assert torch.equal(log_ratio, torch.zeros(3))


@pytest.mark.parametrize("name", ["ppo_clip", "log_hinge"])
def test_gradient_is_gated_alike_and_equals_minus_advantage_inside(name):
    log_ratio = torch.tensor([-2e-4, -0.5e-4, 0.5e-4, 2e-4] * 2, dtype=torch.float64)
    advantages = torch.tensor([1.5] * 4 + [-1.5] * 4, dtype=torch.float64)
    log_ratio.requires_grad_(True)
    result = objectives.OBJECTIVES[name](log_ratio, advantages, CLIP)
    result.loss.backward()
    inside = torch.tensor([1, 1, 1, 0, 0, 1, 1, 1], dtype=torch.float64)
    torch.testing.assert_close(log_ratio.grad * 8, -advantages * inside, rtol=5e-4, atol=0)
    assert result.clip_fraction == 0.5
    assert result.gated_fraction == 0.25


def test_both_counts_are_the_authors():
    """|log rho| > eps where they compute a ratio; eps |A| - A log rho < 0 where they match."""
    generator = torch.Generator().manual_seed(1)
    log_ratio, advantages = 2e-4 * torch.randn(2, 500, generator=generator, dtype=torch.float64)
    advantages = 1e4 * advantages
    advantages[:50] = 0.0
    for objective in objectives.OBJECTIVES.values():
        result = objective(log_ratio, advantages, CLIP)
        both = (log_ratio.abs() > 1e-4).double().mean()
        one = (1e-4 * advantages.abs() - advantages * log_ratio < 0).double().mean()
        assert result.clip_fraction.item() == pytest.approx(both.item(), abs=1e-7)
        assert result.gated_fraction.item() == pytest.approx(one.item(), abs=1e-7)
        assert 0.2 < one < 0.4 < both < 0.7


def test_lambda_is_a_true_log_ratio_of_the_sampler_that_runs():
    """Its constant weight of the prediction's change is the native weight of what a step takes."""
    sampler = ddim(SD, 10)
    schedule = credit.credit_schedule("lambda", sampler, skip_last=False)
    generator = torch.Generator().manual_seed(0)
    x, old, z, delta, ref = torch.randn(5, 10, 4, 6, 6, generator=generator, dtype=torch.float64)
    new = old + 0.01 * delta
    step, std = torch.arange(10), sampler.std.reshape(-1, 1, 1, 1)
    change = schedule.change.reshape(-1, 1, 1, 1)

    def mean(prediction):
        return sampler.mean(step, x, ref + change * (prediction - ref))

    x_next = mean(old) + std * z
    density = [Normal(mean(p), std).log_prob(x_next).mean((1, 2, 3)) for p in (new, old)]
    ours = objectives.matching_log_ratio(new, old, z, schedule.weights)
    torch.testing.assert_close(ours, density[0] - density[1], rtol=0, atol=1e-14)


def test_log_hinge_value():
    log_ratio, advantages = torch.tensor([0.3, -0.3]), torch.tensor([2.0, 2.0])
    result = objectives.log_hinge(log_ratio, advantages, objectives.Bounds.symmetric(0.1))
    assert result.loss.item() == pytest.approx((0 + 2 * 0.4) / 2)
    result = objectives.log_hinge(
        log_ratio, advantages, objectives.Bounds.symmetric(0.1), torch.tensor([1.0, 3.0])
    )
    assert result.loss.item() == pytest.approx((0 + 3 * 2 * 0.4) / 2)


@pytest.mark.parametrize("name", ["ppo_clip", "log_hinge"])
def test_each_sign_of_the_advantage_meets_its_own_bound(name):
    log_ratio = torch.tensor([-3e-4, -1e-4, 1e-4, 3e-4] * 2, dtype=torch.float64)
    advantages = torch.tensor([1.5] * 4 + [-1.5] * 4, dtype=torch.float64)
    log_ratio.requires_grad_(True)
    for lower, upper, inside in (
        (2e-4, 5e-4, [1, 1, 1, 1, 0, 1, 1, 1]),
        (5e-4, 2e-4, [1, 1, 1, 0, 1, 1, 1, 1]),
    ):
        bounds = objectives.Bounds(lower, upper)
        result = objectives.OBJECTIVES[name](log_ratio, advantages, bounds)
        [gradient] = torch.autograd.grad(result.loss, log_ratio)
        expected = -advantages * torch.tensor(inside, dtype=torch.float64)
        torch.testing.assert_close(gradient * 8, expected, rtol=5e-4, atol=0)
        as_tensors = objectives.Bounds(torch.full((8,), lower), torch.full((8,), upper))
        again = objectives.OBJECTIVES[name](log_ratio, advantages, as_tensors)
        torch.testing.assert_close(again.loss, result.loss)
        assert result.gated_fraction == 1 / 8
        assert result.clip_fraction == 2 / 8


def test_without_a_trust_region_every_term_has_its_gradient():
    log_ratio = torch.tensor([-3.0, 0.0, 3.0], requires_grad=True)
    advantages = torch.tensor([1.0, -2.0, 0.5])
    result = objectives.unclipped(log_ratio, advantages, CLIP)
    result.loss.backward()
    torch.testing.assert_close(log_ratio.grad * 3, -advantages)
