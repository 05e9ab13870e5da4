"""Credit weights against theory and the values that the design settles."""

import pytest
import torch

from pcpo import credit
from pcpo.samplers.ddim import ddim
from pcpo.samplers.flow_sde import dance_sde, flow_grpo_sde
from tests.samplers.test_ddim import SD

SD15 = ddim(SD, 50)
BARS = SD15.alpha_bar, SD15.alpha_bar_prev


def test_native_ddim_weight_is_a_signal_to_noise_ratio():
    snr = SD15.alpha_bar / (1 - SD15.alpha_bar)
    snr_prev = SD15.alpha_bar_prev / (1 - SD15.alpha_bar_prev)
    weights = credit.ddim_weights(*BARS, SD15.sigma)
    torch.testing.assert_close(weights, torch.sqrt(snr_prev / snr - 1))
    assert weights.mean() == pytest.approx(0.5169, abs=5e-5)
    assert weights.max() == pytest.approx(3.275, abs=1e-3)
    assert weights.min() == pytest.approx(0.374, abs=1e-3)


def test_eta_one_is_the_least_weight_of_all_sigmas():
    native = credit.ddim_weights(*BARS, SD15.sigma)
    for factor in (0.3, 0.8, 0.999, 1.001, 1.02):
        sigma = (SD15.sigma * factor).clamp(max=(1 - BARS[1]).sqrt())
        assert (credit.ddim_weights(*BARS, sigma) >= native - 1e-9).all()


def test_constant_weight_where_feasible_and_infeasible_on_seven_steps():
    target = credit.ddim_weights(*BARS, SD15.sigma).mean()
    sigma, feasible = credit.solve_ddim_sigma(*BARS, target)
    weights = credit.ddim_weights(*BARS, sigma)
    torch.testing.assert_close(weights[feasible], target.expand(int(feasible.sum())))
    infeasible = SD15.timesteps[~feasible].int().tolist()
    assert infeasible == [121, 101, 81, 61, 41, 21, 1]
    assert torch.equal(sigma[~feasible], SD15.sigma[~feasible])
    assert (sigma[feasible] < SD15.sigma[feasible]).all()  # the smaller root


def test_native_weight_is_a_feasible_target_of_its_own_sigma():
    native = credit.ddim_weights(*BARS, SD15.sigma)
    sigma, feasible = credit.solve_ddim_sigma(*BARS, native)
    assert feasible.all()
    torch.testing.assert_close(sigma, SD15.sigma, rtol=1e-5, atol=1e-8)


def test_inverse_square_reading():
    ratio = credit.ddim_weights(*BARS, SD15.sigma) / SD15.sigma
    assert ratio.mean() == pytest.approx(4.456, abs=1e-3)
    sigma, feasible = credit.solve_ddim_sigma_inverse_square(*BARS, ratio.mean())
    solved = credit.ddim_weights(*BARS, sigma) / sigma
    torch.testing.assert_close(solved[feasible], ratio.mean().expand(int(feasible.sum())))
    assert (~feasible).nonzero()[:, 0].tolist() == [46, 47, 48, 49]


def test_flow_weights_are_the_published_ones():
    dance = dance_sde(12, 3.0, 0.3)
    native = credit.flow_weights(dance.t, dance.dt, dance.sigma)
    expected = [0.57, 0.61, 0.65, 0.69, 0.75, 0.81, 0.88, 0.97, 1.09, 1.23, 1.44, 1.80]
    assert native.tolist() == pytest.approx(expected, abs=6e-3)
    flow = flow_grpo_sde(10, 3.0, 0.7)
    native = credit.flow_weights(flow.t, flow.dt, flow.sigma)
    expected = [0.057, 0.078, 0.129, 0.188, 0.264, 0.371, 0.536, 0.825, 1.487, 1.771]
    assert native.tolist() == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize(
    ("sampler", "trained", "everywhere"),
    [
        (dance_sde(12, 3.0, 0.3), 12.33, 11.48),
        (dance_sde(16, 3.0, 0.3), 14.01, 13.34),
        (flow_grpo_sde(10, 3.0, 0.7), 3.97, 5.71),
    ],
)
def test_proportional_weights_and_their_normaliser(sampler, trained, everywhere):
    for steps, zeta in ((slice(0, -1), trained), (slice(None), everywhere)):
        t, dt, sigma = sampler.t[steps], sampler.dt[steps], sampler.sigma[steps]
        weights = credit.proportional_flow_weights(t, dt, sigma)
        assert (weights / dt).tolist() == pytest.approx([zeta] * len(dt), abs=6e-3)
        torch.testing.assert_close(weights.mean(), credit.flow_weights(t, dt, sigma).mean())


def test_schedules_of_the_arms():
    native = credit.credit_schedule("native", SD15, skip_last=False)
    proportional = credit.credit_schedule("proportional", SD15, skip_last=False)
    reweight = credit.credit_schedule("reweight", SD15, skip_last=False)
    assert proportional.weights.unique().numel() == 1
    torch.testing.assert_close(proportional.weights.mean(), native.weights.mean())
    assert torch.equal(reweight.sigmas, native.sigmas)
    assert not torch.equal(proportional.sigmas, native.sigmas)
    uniform = credit.credit_schedule("uniform", dance_sde(16, 3.0, 0.3), skip_last=True)
    assert uniform.weights[:-1].tolist() == pytest.approx([0.778] * 15, abs=1e-3)
    with pytest.raises(ValueError, match="no sense"):
        credit.credit_schedule("uniform", SD15, skip_last=False)
    with pytest.raises(ValueError, match="no sense"):
        credit.credit_schedule("reweight", dance_sde(16, 3.0, 0.3), skip_last=True)
