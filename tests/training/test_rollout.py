"""The rollout on small pipelines: noise, rewards, and the images of an arm."""

import pytest
import torch

from pcpo.config import load_arm, load_experiment
from pcpo.policies.base import Policy
from pcpo.policies.flux import Adapter
from pcpo.training.rollout import initial_noise_index, roll_out
from pcpo.training.run import Run
from tests.small import PROMPTS, brightness, experiment, place, policy
from tests.training.runs import run


@pytest.mark.parametrize("bad", [lambda scores: scores[:-1], lambda scores: scores[:, None]])
def test_a_reward_of_another_shape_is_named(models, tmp_path, bad):
    with pytest.raises(ValueError, match=r"reward 'aesthetic' returned shape .* for 2 images"):
        run(
            models,
            tmp_path,
            experiment(1, epochs=1),
            reward=lambda images, prompts: bad(brightness(images, prompts)),
        )


def test_images_rewards_and_prompts_belong_together(models):
    """In shuffled order, and in forwards with the images of two updates."""
    batch = {"images_per_iteration": 12, "prompts_per_iteration": 4, "images_per_prompt": 3}
    chosen, seen = experiment(8, batch=batch, execution={"rollout_batch": 4}), []

    def record(images, prompts):
        seen.extend(images.int())
        return place(images, prompts)

    fresh = policy(models, chosen, train=True)
    prompt_ids = [3, 0, 1, 2, 0, 2, 3, 1, 1, 3, 2, 0]
    rollout = roll_out(Run(chosen, load_arm("baseline"), 0, fresh, record, PROMPTS), 1, prompt_ids)
    assert rollout.rewards.tolist() == prompt_ids
    assert [len(update) for update in rollout.micro_batches] == [3, 3]
    micro_batches = [micro for update in rollout.micro_batches for micro in update]
    prompts = [prompt for micro in micro_batches for prompt in micro.prompts]
    assert prompts == [PROMPTS[i] for i in prompt_ids]
    images = torch.cat([fresh.decode(micro.trajectory.final) for micro in micro_batches])
    assert (images - torch.stack(seen)).abs().max() <= 1


def test_shared_initial_noise_groups(models, tmp_path):
    """DanceGRPO's ranks: with one step and no step noise, equal prompts give equal images."""
    seen = []

    def record(images, prompts):
        seen.extend(zip(prompts, images, strict=True))
        return brightness(images, prompts)

    sampler = {"initial_noise_groups": 2, "noise_level": 1e-4, "steps": 2}
    run(models, tmp_path, experiment(6, epochs=1, sampler=sampler), reward=record)
    first, same, second, _ = (image.int() for _, image in seen)
    assert (first - same).abs().max() <= 8
    assert (first - second).abs().max() > 30


@pytest.mark.parametrize("number", [5, 6, 7, 10])
def test_an_update_has_the_noise_of_every_rank(number):
    """As in DanceGRPO, where each rank brings the same prompts and one noise to every update."""
    chosen = load_experiment(number, "paper")
    per_update = chosen.images_per_iteration // chosen.gradient_updates
    for update in range(chosen.gradient_updates):
        indices = range(update * per_update, (update + 1) * per_update)
        noises = [initial_noise_index(index, chosen) for index in indices]
        assert sorted(set(noises)) == list(range(8))
        assert {noises.count(noise) for noise in noises} == {per_update // 8}


def test_lambda_moves_from_the_reference_models_prediction(models, tmp_path):
    """A fresh adapter is the reference: its first images are the native ones."""
    chosen = experiment(1, epochs=1)
    matching, scaled = (run(models, tmp_path / arm, chosen, arm) for arm in ("matching", "lambda"))
    assert matching["reward_mean"].iloc[0] == scaled["reward_mean"].iloc[0]
    trained = policy(models, chosen, train=True)
    predict = trained.conditioned(trained.encode(PROMPTS[:2]), 2.0)
    x, timesteps = torch.randn(2, *trained.latent_shape), torch.full((2,), 500.0)
    base = predict(x, timesteps)
    with torch.no_grad():
        for parameter in trained.trainable().values():
            parameter.add_(0.1)
    assert not torch.equal(predict(x, timesteps), base)
    assert torch.equal(trained.as_reference(predict)(x, timesteps), base)


@pytest.mark.parametrize(("arm", "sizes"), [("baseline", [4, 2]), ("pcpo", [2, 2, 2])])
def test_only_arms_with_the_samplers_log_ratio_sample_in_larger_forwards(
    models, tmp_path, monkeypatch, arm, sizes
):
    """Of three micro-batches two go together. No gradients are recorded for them, even where a
    matching arm needs them."""
    batch = {"images_per_iteration": 6, "prompts_per_iteration": 3, "gradient_updates": 1}
    whole = experiment(6, epochs=1, batch=batch)
    execution = whole.execution.model_copy(update={"rollout_batch": 4})
    larger, seen = whole.model_copy(update={"execution": execution}), []
    expected = run(models, tmp_path / "whole", whole, arm)
    monkeypatch.setattr(Policy, "_one_graph", lambda policy: torch.enable_grad())

    def forward(policy, x, *rest):
        seen.append((len(x), torch.is_grad_enabled()))
        return inner(policy, x, *rest)

    inner = Adapter._forward
    monkeypatch.setattr(Adapter, "_forward", forward)
    found = run(models, tmp_path / "larger", larger, arm)
    sampled = [(size, arm == "pcpo") for size in sizes for _ in range(whole.sampler.steps)]
    assert seen[: len(sampled)] == sampled
    assert set(seen[len(sampled) :]) == {(2, True)}
    for column in ("reward_mean", "reward_std", "grad_norm"):
        assert found[column].to_numpy() == pytest.approx(expected[column].to_numpy(), rel=1e-3)
    if arm == "pcpo":
        assert (found["log_ratio_std"] == 0).all()
