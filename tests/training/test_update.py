"""One update on small pipelines: on-policy ratios, gradients by hand, statistics, a NaN loss."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler
from torch.optim.optimizer import register_optimizer_step_pre_hook

from pcpo.config import arm_names, load_arm
from pcpo.prompts.draws import iteration_prompts
from pcpo.records import frame_file, frames
from pcpo.training.processes import Processes
from pcpo.training.run import Run
from pcpo.training.statistics import QUANTILES
from pcpo.training.update import TrainingDiverged, _trained_steps
from pcpo.trajectory import gaussian_noise
from tests.small import PROMPTS, brightness, experiment, policy
from tests.training.runs import run

LOG_RATIOS = [f"log_ratio_q{q:02d}" for q in QUANTILES]

# ddim with LoRA and with full fine-tuning, the SDE of DanceGRPO with 60 % of the steps, in full,
# and the SDE of Flow-GRPO with a KL term
NUMBERS = (1, 5, 6, 10, 8)
# The matching arms, and of those that differ only in what the clip sees, some.
ARMS = [
    *("matching", "pcpo", "pcpo_exact", "reweight", "variance_only", "lambda", "drop_largest"),
    *("inverse_square", "uniform", "solved_sampler", "tempflow", "grpo_guard", "fair_clip_2"),
    "cps_loss",
    *("reweight_matched", "reweight_balanced", "matching_window", "native_unclipped"),
]
ON_POLICY = [
    (number, arm)
    for number in NUMBERS
    for arm in ARMS
    if load_arm(arm).applies_to(experiment(number).sampler.kind)
    and not (arm == "lambda" and experiment(number).lora is None)
    and not (arm == "matching_window" and experiment(number).sampler.steps < 5)
]


def test_every_credit_of_a_matching_arm_is_among_them():
    arms = map(load_arm, arm_names())
    assert {arm.credit for arm in arms} == {load_arm(arm).credit for arm in ARMS}


@pytest.mark.parametrize(("number", "arm"), ON_POLICY)
def test_first_update_of_a_matching_arm_is_exactly_on_policy(models, tmp_path, number, arm):
    chosen = experiment(number, epochs=2)
    updates = run(models, tmp_path, chosen, arm)
    first, later = updates[updates["update"] == 1], updates[updates["update"] > 1]
    assert len(first) == 2
    assert (first[[*LOG_RATIOS, "clip_fraction", "log_ratio_std"]] == 0).all(axis=None)
    assert (first["ratio_mean"] == 1).all()
    assert (later["log_ratio_std"] > 0).all()


@pytest.mark.parametrize("arm", ["baseline", "pcpo", "solved_sampler", "cps_loss"])
def test_steps_of_flowcps_without_noise_are_not_trained(models, tmp_path, arm):
    chosen = experiment(8, epochs=2, sampler={"kind": "flow_cps", "steps": 6})
    updates = run(models, tmp_path, chosen, arm)
    first = updates[updates["update"] == 1]
    assert (first["log_ratio_std"] < (1e-6 if arm == "baseline" else 1e-30)).all()
    assert updates[["loss", "kl", "grad_norm", *LOG_RATIOS]].apply(np.isfinite).all(axis=None)
    steps = frame_file.read(tmp_path / "timesteps.parquet", frames.TIMESTEPS)
    assert sorted(steps["step"].unique()) == [0, 1, 2, 3]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_on_policy_ratio_survives_autocast(models, tmp_path, precision):
    updates = run(models, tmp_path, experiment(6, epochs=1, precision=precision), "pcpo")
    assert (updates.loc[updates["update"] == 1, LOG_RATIOS] == 0).all(axis=None)


def test_stored_precision_alone_moves_the_baselines_on_policy_ratio(models, tmp_path):
    for storage, exact in (("float32", True), ("float16", False)):
        chosen = experiment(1, epochs=1, sampler={"storage_dtype": storage})
        updates = run(models, tmp_path / storage, chosen, "baseline")
        first = updates[updates["update"] == 1]
        assert (first["log_ratio_std"] == 0).all() == exact


def captured_gradients(work):
    """The gradients that each optimiser step of `work()` takes, by update."""
    seen = []

    def remember(optimizer, args, kwargs):
        [group] = optimizer.param_groups
        seen.append([p.grad.clone() for p in group["params"]])

    handle = register_optimizer_step_pre_hook(remember)
    try:
        work()
    finally:
        handle.remove()
    return seen


def ddpo_by_hand(chosen, fresh):
    """One epoch of DDPO in plain torch, with diffusers' own scheduler: gradients by update."""
    unet, pipeline, encoders = fresh.denoiser, fresh.pipeline, fresh.open_encoders()
    parameters = [p for p in unet.parameters() if p.requires_grad]
    config = chosen.optimizer
    adam = torch.optim.AdamW(
        parameters, config.learning_rate, tuple(config.betas), config.epsilon, config.weight_decay
    )
    scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    scheduler.set_timesteps(chosen.sampler.steps)
    ids = captured_prompts(chosen)
    encoders.text_encoder.requires_grad_(False)
    empty, _ = encoders.encode_prompt([""], "cpu", 1, False)
    guidance = chosen.sampler.guidance_scale

    def gaussian(x, t, index):
        text, _ = encoders.encode_prompt([PROMPTS[ids[index]]], "cpu", 1, False)
        nothing = unet(x, t, empty).sample
        prediction = nothing + guidance * (unet(x, t, text).sample - nothing)
        zero = torch.zeros_like(x)
        mean = scheduler.step(prediction, t, x, eta=1.0, variance_noise=zero).prev_sample
        variance = scheduler._get_variance(t, t - 1000 // chosen.sampler.steps)
        return torch.distributions.Normal(mean, variance.sqrt())

    chains, rewards = [], []
    with torch.no_grad():
        for index in range(len(ids)):
            shape = fresh.latent_shape
            x = gaussian_noise([("initial", 0, 1, index)], 1, shape)[:, 0]
            noise = gaussian_noise([("steps", 0, 1, index)], chosen.sampler.steps, shape)[0]
            chain = []
            for t, z in zip(scheduler.timesteps, noise, strict=True):
                density = gaussian(x, t, index)
                following = density.mean + density.stddev * z
                chain.append((x, t, following, density.log_prob(following).mean()))
                x = following
            chains.append(chain)
            pixels = (pipeline.vae.decode(x).sample / 2 + 0.5).clamp(0, 1) * 255
            rewards.append(pixels.round().mean().item() / 255)
    # Fewer than min_count images of each prompt: the statistics are the whole batch's.
    advantages = (np.array(rewards) - np.mean(rewards)) / np.std(rewards)

    gradients = []
    for update in np.split(np.arange(len(ids)), chosen.batch.gradient_updates):
        adam.zero_grad()
        terms = []
        for index in update:
            for x, t, following, old in chains[index]:
                ratio = torch.exp(gaussian(x, t, index).log_prob(following).mean() - old)
                clipped = ratio.clamp(1 - chosen.clip_range, 1 + chosen.clip_range)
                terms.append(-torch.min(advantages[index] * ratio, advantages[index] * clipped))
        torch.stack(terms).mean().backward()
        gradients.append([p.grad.clone() for p in parameters])
        adam.step()
    return gradients


def captured_prompts(chosen):
    return iteration_prompts(chosen.batch, len(PROMPTS), 0, 1)


def test_gradients_equal_a_hand_written_loop(models, tmp_path):
    chosen = experiment(
        1,
        epochs=1,
        batch={"images_per_iteration": 8},
        sampler={"storage_dtype": "float32"},
        optimizer={"max_grad_norm": 1e9, "learning_rate": 1e-3},
        clip_range=1e-5,
    )
    rows = []

    def ours():
        rows.append(run(models, tmp_path, chosen, "baseline"))

    gradients = captured_gradients(ours)
    expected = ddpo_by_hand(chosen, policy(models, chosen, train=True))
    # The second update is off-policy, and some of its terms are clipped.
    assert 0.05 < rows[0]["gated_fraction"].iloc[1] < 0.9
    assert len(gradients) == len(expected) == 2
    for own, other in zip(gradients, expected, strict=True):
        scale = max(g.abs().max() for g in other)
        assert scale > 1e-6
        for a, b in zip(own, other, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=2e-3 * scale.item())
    norm = torch.stack([g.norm() for g in expected[0]]).norm().item()
    assert rows[0]["grad_norm"].iloc[0] == pytest.approx(norm, rel=1e-3)


@pytest.mark.parametrize(
    ("arm", "times"), [("pcpo", 1), ("pcpo_kl0", 0), ("pcpo_kl4", 4), ("baseline_kl4", 4)]
)
def test_kl_is_added_with_its_factors(models, tmp_path, arm, times):
    # A fresh adapter is the reference model: KL and its gradient are 0 in update 1, so both runs
    # reach update 2 with the same weights.
    with_kl = experiment(8, epochs=1, kl_beta=0.5)
    plain = with_kl.model_copy(update={"kl_beta": None})
    penalised = run(models, tmp_path / "kl", with_kl, arm)
    free = run(models, tmp_path / "free", plain, arm)
    assert penalised["kl"].iloc[0] == 0
    assert penalised["kl"].iloc[1] > 0
    assert free["kl"].isna().all()
    added = penalised["loss"] - free["loss"]
    np.testing.assert_allclose(added, 0.5 * times * penalised["kl"], rtol=1e-3, atol=1e-9)


def test_a_nan_loss_stops_with_epoch_and_step(models, tmp_path, monkeypatch):
    from pcpo.policies.base import Policy

    chosen = experiment(1, epochs=2)
    predict, calls = Policy.predict, []

    def poisoned(self, latents, timesteps, *rest):
        prediction = predict(self, latents, timesteps, *rest)
        calls.append(torch.is_grad_enabled())
        # Epoch 1 trains 2 micro-batches on 3 steps each; the second forward of epoch 2 is step 1.
        return prediction * float("nan") if sum(calls) == 6 + 2 else prediction

    monkeypatch.setattr(Policy, "predict", poisoned)
    with pytest.raises(TrainingDiverged, match=r"epoch 2, update 1, sampler steps \[1\]"):
        run(models, tmp_path, chosen)
    monkeypatch.undo()
    assert (tmp_path / "checkpoints" / "epoch_00001").is_dir()
    assert len(run(models, tmp_path, chosen)) == 4


@pytest.mark.parametrize("number", [1, 6])
def test_statistics_by_timestep_add_up_to_those_of_the_update(models, tmp_path, number):
    chosen = experiment(number, epochs=1)
    updates = run(models, tmp_path, chosen, "baseline").set_index("update")
    steps = frame_file.read(tmp_path / "timesteps.parquet", frames.TIMESTEPS)
    images = chosen.batch.images_per_iteration // chosen.batch.gradient_updates
    for update, own in steps.groupby("update"):
        share = own["terms"] / own["terms"].sum()
        for column in ("log_ratio_mean", "clip_fraction", "gated_fraction"):
            assert (share * own[column]).sum() == pytest.approx(updates[column][update], abs=1e-9)
        assert own["timestep"].is_monotonic_decreasing
        trained = len(own) if number == 1 else 3  # FLUX trains 60 % of five for each image
        assert own["terms"].sum() == images * trained


def test_the_largest_step_is_left_out_of_training(models, tmp_path):
    chosen = experiment(1, epochs=1)
    run(models, tmp_path / "all", chosen, "matching")
    run(models, tmp_path / "less", chosen, "drop_largest")
    every, fewer = (
        set(frame_file.read(tmp_path / name / "timesteps.parquet", frames.TIMESTEPS)["step"])
        for name in ("all", "less")
    )
    assert len(every - fewer) == 1 and fewer < every


def test_gradient_statistics_are_of_the_first_trained_layer(models, tmp_path):
    """Against the gradients that the optimiser saw, in the update before the clipping matters."""
    chosen = experiment(5, epochs=1, optimizer={"max_grad_norm": 1e9})
    updates = []
    seen = captured_gradients(lambda: updates.append(run(models, tmp_path, chosen)))
    names = list(policy(models, chosen, train=True).trainable())
    for row, gradients in zip(updates[0].itertuples(), seen, strict=True):
        own = dict(zip(names, gradients, strict=True))
        first = torch.cat([own["conv_in.weight"].flatten(), own["conv_in.bias"]]).abs()
        assert row.gradient_abs_mean == pytest.approx(first.mean().item(), rel=1e-5)
        assert row.gradient_abs_var == pytest.approx(first.var(correction=0).item(), rel=1e-4)


def within_4_sd(counts, draws, share):
    sd = np.sqrt(draws * share * (1 - share))
    return (abs(np.asarray(counts) - draws * share) < 4 * sd).all()


def test_each_image_trains_a_random_share_of_the_steps_of_its_own(models):
    """Three of five, so one of ten sets; of six steps the largest one, 4, is not trained."""
    images = 2000
    batch, fraction = {"images_per_iteration": 2 * images}, {"fraction": 0.6}
    chosen = experiment(1, batch=batch, timesteps=fraction, sampler={"steps": 6})
    trained, arm = policy(models, chosen, train=True), load_arm("drop_largest")

    def drawn(seed=0, epoch=1, number=1, **processes):
        run = Run(chosen, arm, seed, trained, brightness, PROMPTS, processes=Processes(**processes))
        return _trained_steps(run, epoch, number).sort(dim=1).values

    steps = drawn()
    assert steps.shape == (images, 3)
    assert (steps[:, 1:] > steps[:, :-1]).all()  # three different ones
    found, counts = steps.unique(return_counts=True)
    assert found.tolist() == [0, 1, 2, 3, 5]
    assert within_4_sd(counts, images, 3 / 5)
    _, sets = steps.unique(dim=0, return_counts=True)
    assert len(sets) == 10 and within_4_sd(sets, images, 1 / 10)
    for other in ({"seed": 1}, {"epoch": 2}, {"number": 2}):
        same = (drawn(**other) == steps).all(dim=1)
        assert within_4_sd(same.sum(), images, 1 / 10), other  # as often as by chance
    assert torch.equal(drawn(rank=1, size=2), steps)


def test_a_micro_batch_trains_the_steps_of_its_own_images(models, tmp_path):
    batch = {"images_per_iteration": 8, "images_per_prompt": 4, "micro_batch": 1}
    chosen = experiment(6, epochs=1, batch=batch)
    run(models, tmp_path, chosen)
    rows = frame_file.read(tmp_path / "timesteps.parquet", frames.TIMESTEPS)
    fresh = policy(models, chosen, train=True)
    same = Run(chosen, load_arm("pcpo"), 0, fresh, brightness, PROMPTS)
    for update, own in rows.groupby("update"):
        found, counts = _trained_steps(same, 1, update).unique(return_counts=True)
        assert counts.max() > counts.min()  # the steps of the four images differ
        assert dict(zip(own["step"], own["terms"], strict=True)) == dict(
            zip(found.tolist(), counts.tolist(), strict=True)
        )
