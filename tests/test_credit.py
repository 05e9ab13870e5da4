"""Credit weights against theory and the values that the design settles."""

import pytest
import torch

from pcpo import credit, variance
from pcpo.config.arms import RULES
from pcpo.samplers.ddim import ddim, ddim_weights
from pcpo.samplers.flow_cps import flow_cps
from pcpo.samplers.flow_sde import dance_sde, flow_grpo_sde, flow_weights
from tests.samplers.test_ddim import SD

SD15 = ddim(SD, 50)
BARS = SD15.alpha_bar, SD15.alpha_bar_prev


def test_native_ddim_weight_is_a_signal_to_noise_ratio():
    snr = SD15.alpha_bar / (1 - SD15.alpha_bar)
    snr_prev = SD15.alpha_bar_prev / (1 - SD15.alpha_bar_prev)
    weights = ddim_weights(*BARS, SD15.sigma)
    torch.testing.assert_close(weights, torch.sqrt(snr_prev / snr - 1))
    assert weights.mean() == pytest.approx(0.5169, abs=5e-5)
    assert weights.max() == pytest.approx(3.275, abs=1e-3)
    assert weights.min() == pytest.approx(0.374, abs=1e-3)


def test_eta_one_is_the_least_weight_of_all_sigmas():
    native = ddim_weights(*BARS, SD15.sigma)
    for factor in (0.3, 0.8, 0.999, 1.001, 1.02):
        sigma = (SD15.sigma * factor).clamp(max=(1 - BARS[1]).sqrt())
        assert (ddim_weights(*BARS, sigma) >= native - 1e-9).all()


def test_constant_weight_where_feasible_and_infeasible_on_seven_steps():
    target = ddim_weights(*BARS, SD15.sigma).mean()
    sigma, feasible = variance.solve_ddim_sigma(*BARS, target)
    weights = ddim_weights(*BARS, sigma)
    torch.testing.assert_close(weights[feasible], target.expand(int(feasible.sum())))
    infeasible = SD15.timesteps[~feasible].int().tolist()
    assert infeasible == [121, 101, 81, 61, 41, 21, 1]
    assert torch.equal(sigma[~feasible], SD15.sigma[~feasible])
    assert (sigma[feasible] < SD15.sigma[feasible]).all()  # the smaller root


def test_native_weight_is_a_feasible_target_of_its_own_sigma():
    native = ddim_weights(*BARS, SD15.sigma)
    sigma, feasible = variance.solve_ddim_sigma(*BARS, native)
    assert feasible.all()
    torch.testing.assert_close(sigma, SD15.sigma, rtol=1e-5, atol=1e-8)


def test_inverse_square_reading():
    ratio = ddim_weights(*BARS, SD15.sigma) / SD15.sigma
    assert ratio.mean() == pytest.approx(4.456, abs=1e-3)
    sigma, feasible = variance.solve_ddim_sigma_inverse_square(*BARS, ratio.mean())
    solved = ddim_weights(*BARS, sigma) / sigma
    torch.testing.assert_close(solved[feasible], ratio.mean().expand(int(feasible.sum())))
    assert (~feasible).nonzero()[:, 0].tolist() == [46, 47, 48, 49]


@pytest.mark.parametrize(
    ("over", "steps", "mean", "solvable"), [("all", 50, 4.456, 46), ("trained", 49, 3.555, 45)]
)
def test_the_schedule_of_the_inverse_square_reading(over, steps, mean, solvable):
    """Its weights are those of the sampler that runs. Natively w = sqrt(SNR_prev / SNR - 1)."""
    schedule = credit.credit_schedule("inverse_square", SD15, skip_last=True, over=over)
    snr, snr_prev = (bar / (1 - bar) for bar in BARS)
    native = torch.sqrt(snr_prev / snr - 1)
    noise = torch.sqrt((1 - BARS[1]) / (1 - BARS[0]) * (1 - BARS[0] / BARS[1]))
    target = float((native / noise)[:steps].mean())
    assert schedule.target == pytest.approx(target)
    assert target == pytest.approx(mean, abs=5e-4)
    feasible = schedule.feasible
    solved = (schedule.weights / schedule.sigmas)[feasible]
    assert len(solved) == solvable
    torch.testing.assert_close(solved, torch.full_like(solved, target))
    torch.testing.assert_close(SD15.with_sigma(schedule.sigmas).weights, schedule.weights)
    torch.testing.assert_close(schedule.weights[~feasible], native[~feasible])


def test_flow_weights_are_the_published_ones():
    dance = dance_sde(12, 3.0, 0.3)
    native = flow_weights(dance.t, dance.dt, dance.sigma)
    expected = [0.57, 0.61, 0.65, 0.69, 0.75, 0.81, 0.88, 0.97, 1.09, 1.23, 1.44, 1.80]
    assert native.tolist() == pytest.approx(expected, abs=6e-3)
    flow = flow_grpo_sde(10, 3.0, 0.7)
    native = flow_weights(flow.t, flow.dt, flow.sigma)
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
        torch.testing.assert_close(weights.mean(), flow_weights(t, dt, sigma).mean())


def test_zeta_is_the_authors():
    """Their constants: 4.3152134639895925 in code, 13.343 in a note on the ICLR version."""
    dance, flow = dance_sde(16, 3.0, 0.3), flow_grpo_sde(10, 3.0, 0.7)
    assert credit.zeta(dance) == pytest.approx(13.343, abs=5e-4)
    assert credit.zeta(flow) == pytest.approx(4.3152134639895925, rel=1e-13)
    # Used on the official grid, which is shifted twice, also where the last step is not trained.
    for sampler, zeta in ((dance, 13.343), (flow, 4.3152)):
        schedule = credit.credit_schedule("proportional", sampler, skip_last=True)
        assert (schedule.weights / sampler.dt).tolist() == pytest.approx(
            [zeta] * len(sampler), 1e-4
        )
    option = credit.credit_schedule("proportional", flow, skip_last=True, over="trained")
    assert option.target == pytest.approx(3.970, abs=5e-4)
    option = credit.credit_schedule("proportional", dance, skip_last=True, over="trained")
    assert option.target == pytest.approx(14.011, abs=5e-4)


def test_the_authors_variance_schedule():
    """Figures of the sampler that they ran: SD1.5, 50 steps, v = 4.5."""
    a, b = SD15.alpha_bar, SD15.alpha_bar_prev
    c1, c2 = (b * (1 - a) / a).sqrt(), (1 - b - SD15.sigma**2).sqrt()
    assert pytest.approx(4.5 / ((c1 + c2) / SD15.sigma).mean().item()) == variance.AUTHORS_SHARE
    assert variance.variance_target(SD15) == pytest.approx(4.5)
    pcpo = credit.credit_schedule("proportional", SD15, skip_last=False)
    ratio = pcpo.sigmas / SD15.sigma
    assert pcpo.feasible.all()
    assert ratio.min() == pytest.approx(0.713, abs=5e-4)
    assert ratio.max() == pytest.approx(1.247, abs=5e-4)
    assert ratio.median() == pytest.approx(1.138, abs=5e-4)
    # The root solves the equation of the other sign: (c1 + c2) / sigma = v.
    c2 = (1 - b - pcpo.sigmas**2).sqrt()
    torch.testing.assert_close((c1 + c2) / pcpo.sigmas, torch.full_like(a, 4.5))
    own = SD15.with_sigma(pcpo.sigmas).weights
    assert own.min() == pytest.approx(0.385, abs=5e-4)
    assert own.max() == pytest.approx(3.368, abs=5e-4)


def test_the_authors_constant_weight():
    """4.5 / 8.70575076181, to seven digits the mean of the native weights in float32."""
    pcpo = credit.credit_schedule("proportional", SD15, skip_last=True)
    assert pcpo.weights.unique().numel() == 1  # of all 50 steps, though 49 are trained
    assert pcpo.weights[0] == pytest.approx(0.51690, abs=5e-6)
    betas = torch.linspace(SD["beta_start"] ** 0.5, SD["beta_end"] ** 0.5, 1000) ** 2
    bars = torch.cumprod(1 - betas, 0)
    steps = SD15.timesteps.long()
    a, b = bars[steps], bars[(steps - 20).clamp(min=0)]
    sigma = ((1 - b) / (1 - a) * (1 - a / b)).sqrt()
    assert a.dtype == torch.float32
    mean = float(ddim_weights(a, b, sigma).double().mean())
    assert mean == pytest.approx(4.5 / 8.70575076181, abs=5e-8)
    assert round(mean, 7) == 0.5168997


@pytest.mark.parametrize(("steps", "without"), [(10, [101]), (20, [51]), (50, []), (100, [])])
def test_native_variance_where_the_authors_root_does_not_exist(steps, without):
    sampler = ddim(SD, steps)
    pcpo = credit.credit_schedule("proportional", sampler, skip_last=False)
    a, b, v = sampler.alpha_bar, sampler.alpha_bar_prev, variance.variance_target(sampler)
    none = (1 - b) * (1 + v**2) < b * (1 - a) / a
    assert sampler.timesteps[none].tolist() == without
    assert torch.equal(~pcpo.feasible, none)
    assert torch.equal(pcpo.sigmas[none], sampler.sigma[none])


def test_at_ten_steps_our_rule_takes_noise_away():
    """The authors have no rule for other steps; the pages say what ours does."""
    ten = ddim(SD, 10)
    pcpo = credit.credit_schedule("proportional", ten, skip_last=False)
    ratio = (pcpo.sigmas / ten.sigma)[pcpo.feasible]
    assert (round(ratio.min().item(), 2), round(ratio.max().item(), 2)) == (0.93, 0.97)


def test_schedules_of_the_arms():
    kinds = ("native", "exact", "reweight", "variance_only", "lambda", "drop_largest")
    made = {kind: credit.credit_schedule(kind, SD15, skip_last=False) for kind in kinds}
    pcpo = credit.credit_schedule("proportional", SD15, skip_last=False)
    native = made["native"].weights
    for kind in ("exact", "reweight", "lambda"):
        torch.testing.assert_close(made[kind].weights, native.mean().expand(50))
    for kind in ("native", "reweight", "lambda", "drop_largest"):
        assert torch.equal(made[kind].sigmas, SD15.sigma)
    assert (made["exact"].sigmas <= SD15.sigma).all()
    assert torch.equal(made["variance_only"].sigmas, pcpo.sigmas)
    assert torch.equal(made["variance_only"].weights, native)
    # lambda: the native weight of the change that a step takes is the constant of the prediction's.
    torch.testing.assert_close(made["lambda"].change * native, made["lambda"].weights)
    asking = [rule.name for rule in RULES.all() if rule.keywords.get("reference")]
    assert [k for k in kinds if made[k].moves_prediction] == asking
    uniform = credit.credit_schedule("uniform", dance_sde(16, 3.0, 0.3), True, over="trained")
    assert uniform.weights[:-1].tolist() == pytest.approx([0.778] * 15, abs=1e-3)
    with pytest.raises(ValueError, match="no sense"):
        credit.credit_schedule("uniform", SD15, skip_last=False)
    with pytest.raises(ValueError, match="no sense"):
        credit.credit_schedule("exact", dance_sde(16, 3.0, 0.3), skip_last=True)


def test_on_flow_reweight_is_pcpo():
    flow = flow_grpo_sde(10, 3.0, 0.7)
    ours, pcpo = (credit.credit_schedule(k, flow, True) for k in ("reweight", "proportional"))
    assert torch.equal(ours.weights, pcpo.weights)
    assert torch.equal(ours.sigmas, flow.sigma)


@pytest.mark.parametrize(
    ("sampler", "solved", "least", "most"),
    [
        (dance_sde(16, 3.0, 0.3), 16, 0.675, 1.694),
        (flow_grpo_sde(10, 3.0, 0.7), 9, 0.239, 0.950),
        (flow_cps(10, 3.0, 0.7), 6, 0.309, 1.120),
    ],
)
def test_a_flow_sampler_with_proportional_weights_of_its_own(sampler, solved, least, most):
    schedule = credit.credit_schedule("solved", sampler, skip_last=True)
    assert int(schedule.feasible.sum()) == solved
    own = sampler.with_sigma(schedule.sigmas).weights
    assert torch.equal(own, schedule.weights)
    native = sampler.weights
    weight = own / sampler.dt
    zeta = native.sum() / sampler.dt[sampler.noisy].sum()
    torch.testing.assert_close(weight[schedule.feasible], zeta.expand(solved))
    torch.testing.assert_close(own[~schedule.feasible], native[~schedule.feasible])
    ratio = (schedule.sigmas / sampler.sigma)[schedule.feasible]
    assert (ratio.min().item(), ratio.max().item()) == pytest.approx((least, most), abs=1e-3)


def test_weights_of_other_methods():
    """GRPO-Guard's is constant on Flow-GRPO's sampler; 2.25 is TempFlow-GRPO's normaliser there."""
    flow = flow_grpo_sde(10, 3.0, 0.7)
    native = flow.weights
    guard = credit.credit_schedule("guard", flow, skip_last=True).weights
    # At t = 1 the sampler takes another sigma, and 1 - t is 0.
    assert guard.tolist() == pytest.approx([1.0] + [1 + 0.7**2 / 2] * 9)
    tempflow = credit.credit_schedule("tempflow", flow, skip_last=True).weights
    assert (tempflow / (native * flow.sigma * flow.dt.sqrt())).tolist() == pytest.approx(
        [2.25] * 10, rel=2e-3
    )
    ten = ddim(SD, 10)
    a, b = ten.alpha_bar, ten.alpha_bar_prev
    moved = (b * (1 - a) / a).sqrt() - (1 - b - ten.sigma**2).sqrt()  # c1 - c2
    guard = credit.credit_schedule("guard", ten, skip_last=False).weights
    torch.testing.assert_close(guard, 10 * moved)


@pytest.mark.parametrize(("sampler", "skip_last", "dropped"), [
    (SD15, False, 48), (ddim(SD, 10), False, 8), (dance_sde(16, 3.0, 0.3), True, 14),
])  # fmt: skip
def test_the_largest_trained_weight_is_dropped(sampler, skip_last, dropped):
    schedule = credit.credit_schedule("drop_largest", sampler, skip_last)
    usual = credit.credit_schedule("native", sampler, skip_last)
    gone = (usual.trained & ~schedule.trained).nonzero()[:, 0].tolist()
    assert gone == [dropped]
    assert (usual.weights[usual.trained] <= usual.weights[dropped]).all()
