"""Gradients by timestep: against the gradient that an update takes, and planted ones."""

import numpy as np
import pytest
import torch

from pcpo.config import load_arm
from pcpo.policies import weights
from pcpo.records import frame_file, frames
from pcpo.training import step_gradients as module
from pcpo.training.run import Run
from tests.small import PROMPTS, brightness, experiment, perturb, policy
from tests.training.runs import run


def loaded(models, chosen, arm="pcpo"):
    """A run at its start."""
    fresh = policy(models, chosen, train=True)
    return Run(chosen, load_arm(arm), 0, fresh, brightness, PROMPTS)


@pytest.mark.parametrize(("number", "arm"), [(1, "baseline"), (1, "pcpo"), (8, "pcpo")])
def test_together_they_are_the_gradient_of_the_first_update(models, tmp_path, number, arm):
    chosen = experiment(
        number,
        epochs=1,
        batch={"gradient_updates": 1, "shuffle": False},
        sampler={"storage_dtype": "float32"},
        kl_beta=None,
    )
    updates = run(models, tmp_path, chosen, arm)
    own = loaded(models, chosen, arm)
    before = {name: value.clone() for name, value in own.policy.trainable().items()}
    rows = module.step_gradients(own, epoch=0)
    *steps, whole = rows
    trained = chosen.sampler.steps - chosen.timesteps.skip_last
    assert [row["step"] for row in rows] == [*range(trained), frames.WHOLE]
    assert {row["groups"] for row in rows} == {4}
    # An update takes the mean over the steps.
    assert whole["grad_norm"] / trained == pytest.approx(updates["grad_norm"].item(), rel=1e-5)
    assert own.policy._encoders is None  # closed, as an update needs its memory
    along = sum(row["cosine"] * row["grad_norm"] for row in steps)
    assert along == pytest.approx(whole["grad_norm"], rel=1e-5)
    after = own.policy.trainable()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    named = [{"experiment": "a", "arm": arm, "seed": 0} | row for row in rows]
    frame_file.check(frame_file.of_rows(named, frames.GRADIENTS), frames.GRADIENTS, "here")


def test_direction_and_signal_to_noise_of_planted_gradients(models, monkeypatch):
    planted = [  # (first step, second step) of each group
        ([3.0, 0.0], [1.0, 5.0]),
        ([3.0, 0.0], [1.0, 3.0]),
        ([3.0, 0.0], [1.0, 5.0]),
        ([3.0, 0.0], [1.0, 3.0]),
    ]

    def groups(run, micro_batches, advantages, steps):
        assert (len(micro_batches), steps) == (2, [0, 1])
        for group in planted:
            yield (torch.tensor(gradient) for gradient in group)

    monkeypatch.setattr(module, "_groups", groups)
    own = loaded(models, experiment(8, epochs=1))
    first, second, whole = module.step_gradients(own, epoch=0)
    assert first["grad_norm"] == 3
    assert np.isnan(first["signal_to_noise"])  # no noise at all
    assert second["grad_norm"] == pytest.approx(np.hypot(1, 4))
    assert second["gradient_abs_mean"] == pytest.approx(2.5)
    assert second["gradient_abs_var"] == pytest.approx(1.5**2)
    # Variance of a group's gradient: 4/3 (5, 3, 5, 3); of the mean of four: 1/3.
    assert second["signal_to_noise"] == pytest.approx(17 / (1 / 3))
    assert first["cosine"] == pytest.approx(4 / np.hypot(4, 4))
    assert second["cosine"] == pytest.approx((1 * 4 + 4 * 4) / (np.hypot(1, 4) * np.hypot(4, 4)))
    # The steps of a group are added before groups are compared: (4, 5), (4, 3), (4, 5), (4, 3).
    assert whole["grad_norm"] == pytest.approx(np.hypot(4, 4))
    assert whole["signal_to_noise"] == pytest.approx(32 / (1 / 3))
    assert whole["cosine"] == pytest.approx(1)
    assert np.isnan(whole["timestep"]) and np.isnan(whole["weight"])


def test_of_noise_alone_signal_to_noise_is_one_on_average(models, monkeypatch):
    rng = np.random.default_rng(0)

    def groups(run, micro_batches, advantages, steps):
        for _ in range(4):
            yield (torch.from_numpy(rng.normal(size=2000)).float() for _ in steps)

    monkeypatch.setattr(module, "_groups", groups)
    rows = module.step_gradients(loaded(models, experiment(8, epochs=1)), epoch=0)
    # Of 2000 parameters: the ratio of two chi-squares over their degrees of freedom, sd 0.04.
    assert [row["signal_to_noise"] for row in rows] == pytest.approx([1.0] * 3, abs=0.15)


def test_a_group_has_all_images_of_its_prompts(models, monkeypatch):
    """Though the training shuffles them: two prompts of two images are a micro-batch."""
    batch = {"images_per_iteration": 8, "prompts_per_iteration": 4, "micro_batch": 4}
    chosen = experiment(8, epochs=1, batch=batch)
    assert chosen.batch.shuffle and chosen.batch.images_per_prompt == 2
    seen = []

    def of_group(run, micro, predict, advantages, steps):
        weights = zip(micro.prompts, advantages.tolist(), strict=True)
        seen.append([(prompt, weight) for prompt, weight in weights if weight != 0])
        return iter([torch.ones(2)] * len(steps))

    def alternating(prompt_ids, rewards):
        return np.resize([1.0, -1.0], len(rewards))

    monkeypatch.setattr(module, "_of_group", of_group)
    monkeypatch.setattr(module.advantage_kinds, "build", lambda _: alternating)
    module.step_gradients(loaded(models, chosen), epoch=0)
    # The loss is the group's mean over half of the micro-batch: its images have twice the weight.
    assert [[weight for _, weight in group] for group in seen] == [[2.0, -2.0]] * 4
    assert all(one == other for (one, _), (other, _) in seen)
    assert len({prompt for (prompt, _), _ in seen}) == 4


def test_one_group_has_no_noise_to_measure(models):
    batch = {"images_per_iteration": 3, "gradient_updates": 1, "micro_batch": 3}
    own = loaded(models, experiment(1, epochs=1, batch=batch))
    with pytest.raises(ValueError, match="batch.micro_batch: 3 of 3 images .* make one group"):
        module.step_gradients(own, epoch=0)


@pytest.mark.parametrize("power", [-28, 14])  # below fp16's least number, or too large when scaled
def test_gradients_of_half_precision_neither_underflow_nor_overflow(power):
    parameter = torch.nn.Parameter(torch.ones(1, dtype=torch.float16))
    factor = torch.tensor(2.0 ** (power / 2), dtype=torch.float16)

    def loss():
        return (parameter * factor * factor).float().sum()

    scaled = module.flat_gradient(loss(), [parameter], module.LARGEST_SCALE)
    assert scaled.item() == 2.0**power
    plain = module.flat_gradient(loss(), [parameter], 1.0)
    assert plain.item() == (0.0 if power == -28 else 2.0**power)


@pytest.mark.parametrize("number", [8, 5])  # LoRA with alpha over rank of 2, and all weights
def test_restored_weights_are_those_that_were_saved_and_stay_trainable(models, tmp_path, number):
    chosen = experiment(number)
    if chosen.lora is not None:
        rank = chosen.lora.rank
        chosen = chosen.model_copy(
            update={"lora": chosen.lora.model_copy(update={"alpha": 2 * rank})}
        )
    trained, fresh = (policy(models, chosen, train=True, seed=seed) for seed in (0, 1))
    perturb(trained)
    tmp_path.joinpath("saved").mkdir()
    trained.save_weights(tmp_path / "saved")
    weights.restore(fresh, tmp_path / "saved")
    assert fresh.trainable().keys() == trained.trainable().keys()
    for name, value in trained.trainable().items():
        torch.testing.assert_close(fresh.trainable()[name], value)
    other = policy(models, experiment(1), train=True)
    with pytest.raises((ValueError, FileNotFoundError)):
        weights.restore(other, tmp_path / "saved")
