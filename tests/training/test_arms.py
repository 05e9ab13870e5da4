"""What an arm changes in a training: the gradient of each step, the rollout, the loss."""

import pytest
import torch
from diffusers import DDIMScheduler

from pcpo import samplers
from pcpo.config import load_arm
from pcpo.credit import credit_schedule
from pcpo.prompts.draws import iteration_prompts
from pcpo.records import frame_file, frames
from pcpo.training.rollout import roll_out
from pcpo.training.run import Run
from pcpo.training.step_gradients import step_gradients
from pcpo.trajectory import gaussian_noise
from tests.small import PROMPTS, brightness, experiment, perturb, policy
from tests.training.by_hand import off_policy, train_and_compare

# --- the gradient of each step ----------------------------------------------------------------

# By the native sampler: an arm's images are those of `matching`, and so are its advantages.
NATIVE_SAMPLER = [
    *("reweight", "credit_only", "region_only", "tempflow", "grpo_guard", "cps_loss"),
    *("fair_clip_2", "reweight_unclipped", "matching_tenfold"),
]


@pytest.fixture(scope="module")
def matching(models):
    """number -> experiment, policy at its start, and the gradient norms of `matching` by step."""
    found = {}

    def of(number):
        if number not in found:
            chosen = experiment(number, kl_beta=None)
            fresh = policy(models, chosen, train=True)
            found[number] = chosen, fresh, gradient_norms(chosen, fresh, "matching")
        return found[number]

    return of


def gradient_norms(chosen, fresh, arm):
    rows = step_gradients(Run(chosen, load_arm(arm), 0, fresh, brightness, PROMPTS), epoch=0)
    return {row["step"]: row["grad_norm"] for row in rows if row["step"] != frames.WHOLE}


@pytest.mark.parametrize("number", [1, 6, 8])
@pytest.mark.parametrize("name", NATIVE_SAMPLER)
def test_a_step_has_the_gradient_of_its_credit(matching, number, name):
    (chosen, fresh, base), arm = matching(number), load_arm(name)
    native = samplers.build(chosen.sampler, fresh.scheduler_config)
    credit = credit_schedule(arm.credit, native, chosen.timesteps.skip_last, arm.over).weights
    found = gradient_norms(chosen, fresh, name)
    assert list(found) == list(range(chosen.sampler.steps - chosen.timesteps.skip_last))
    for step, norm in found.items():
        times = arm.loss_factor * float(credit[step] / native.weights[step])
        assert norm / base[step] == pytest.approx(times, rel=1e-4)


# --- the rollout ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained_ddim(models):
    """An experiment, its policy after some training, and the base model."""
    chosen = experiment(1)
    moved, base = (policy(models, chosen, train=True) for _ in range(2))
    perturb(moved, size=0.05)
    return chosen, moved, base


def first_micro_batch(chosen, moved, arm):
    ids = iteration_prompts(chosen.batch, len(PROMPTS), 0, 1)
    run = Run(chosen, load_arm(arm), 0, moved, brightness, PROMPTS)
    return roll_out(run, 1, ids).micro_batches[0][0]


@torch.no_grad()
def sampled_by_diffusers(chosen, prompts, moved, base, sigma_times, lambdas):
    """The images of epoch 1, with sigma so many times the native one at each step. A step
    takes base + lambda (moved - base)."""
    scheduler = DDIMScheduler.from_config(moved.scheduler_config)
    scheduler.set_timesteps(chosen.sampler.steps)
    keys, shape = range(len(prompts)), moved.latent_shape
    x = gaussian_noise([("initial", 0, 1, key) for key in keys], 1, shape)[:, 0]
    noise = gaussian_noise([("steps", 0, 1, key) for key in keys], chosen.sampler.steps, shape)
    of_moved, of_base = (
        model.conditioned(model.encode(prompts), chosen.sampler.guidance_scale)
        for model in (moved, base)
    )
    for index, t in enumerate(scheduler.timesteps):
        times = t.expand(len(x))
        reference = of_base(x, times)
        prediction = reference + float(lambdas[index]) * (of_moved(x, times) - reference)
        eta, z = float(sigma_times[index]), noise[:, index]
        x = scheduler.step(prediction, t, x, eta=eta, variance_noise=z).prev_sample
    return x


@pytest.mark.parametrize("name", ["matching", "variance_only", "pcpo", "lambda"])
def test_images_have_the_arms_variance_and_prediction(trained_ddim, name):
    chosen, moved, base = trained_ddim
    native = samplers.build(chosen.sampler, moved.scheduler_config)
    ones = torch.ones(len(native), dtype=torch.float64)
    sigma_times, lambdas = ones, ones
    if name in ("variance_only", "pcpo"):
        sigma_times = credit_schedule(load_arm(name).credit, native, False).sigmas / native.sigma
    if name == "lambda":
        lambdas = native.weights.mean() / native.weights
    micro = first_micro_batch(chosen, moved, name)
    expected = sampled_by_diffusers(chosen, micro.prompts, moved, base, sigma_times, lambdas)
    torch.testing.assert_close(micro.trajectory.final, expected, rtol=1e-3, atol=1e-4)
    plain = first_micro_batch(chosen, moved, "matching").trajectory.final
    assert ((plain - expected).abs().max() > 0.01) == (name != "matching")


# --- the loss off-policy ----------------------------------------------------------------------


def inside_and_scale(name, native, own, clip_range):
    """eps e - sign(A) m and s of each term, as docs/credit-and-region.md has them."""
    w, std, trained, share = native.weights, native.std, slice(0, 4), torch.ones(8)
    pcpo = credit_schedule("reweight", native, skip_last=True).weights
    if name == "credit_only":
        linear, quadratic, credit = w, w**2 / 2, pcpo
    elif name == "reweight_per_step":
        linear, quadratic, credit = pcpo, pcpo**2 / 2, pcpo
        share = (w / w[trained].mean())[own.step]
    elif name == "tempflow":
        noise = std / std[trained].mean()
        linear, quadratic, credit = noise * w, noise * w**2 / 2, noise * w
    elif name == "grpo_guard":
        linear, quadratic, credit = std * w, 0 * w, w * std / native.intervals
    elif name == "matching_higher":
        linear, quadratic, credit = w, w**2 / 2, w
        share = torch.where(own.advantage > 0, 1.4, 1.0)
    m = own.log_ratio(linear, quadratic)
    return clip_range * share - own.advantage.sign() * m, (credit / linear)[own.step]


@pytest.mark.parametrize(
    ("name", "clip_range"),
    [
        ("credit_only", 2e-4),
        ("reweight_per_step", 2e-4),
        ("tempflow", 2e-4),
        ("grpo_guard", 1e-4),
        ("matching_higher", 2e-4),
    ],
)
def test_loss_and_gates_off_policy_are_those_of_the_formula(models, tmp_path, name, clip_range):
    chosen = off_policy(clip_range=clip_range)
    updates, found = train_and_compare(models, tmp_path, chosen, name)
    by_step = frame_file.read(tmp_path / "timesteps.parquet", frames.TIMESTEPS)
    native = samplers.build(chosen.sampler, policy(models, chosen).scheduler_config)
    for row, own in zip(updates.itertuples(), found, strict=True):
        inside, scale = inside_and_scale(name, native, own, clip_range)
        loss = (own.advantage.abs() * scale * inside.clamp(min=0)).mean()
        assert row.loss == pytest.approx(float(loss), rel=1e-4)
        assert row.gated_fraction == pytest.approx(float((inside < 0).double().mean()))
        of_update = by_step[by_step["update"] == row.update]
        for step, gated in zip(of_update["step"], of_update["gated_fraction"], strict=True):
            assert gated == float((inside < 0)[own.step == step].double().mean())
    # The first update is on-policy. Of the others some terms are gated.
    assert updates["gated_fraction"].iloc[0] == 0
    assert 0.1 < updates["gated_fraction"].iloc[1:].mean() < 0.6
