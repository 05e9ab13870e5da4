"""Gradients by timestep: against the gradient that an update takes, and planted ones."""

import numpy as np
import pytest
import torch

from pcpo.config import load_arm
from pcpo.policies import weights
from pcpo.records import frames
from pcpo.training import step_gradients as module
from pcpo.training.run import Run
from tests.small import PROMPTS, brightness, experiment, perturb, policy
from tests.training.runs import run


@pytest.mark.parametrize(("number", "arm"), [(1, "baseline"), (1, "pcpo"), (8, "pcpo")])
def test_together_they_are_the_gradient_of_the_first_update(models, tmp_path, number, arm):
    chosen = experiment(
        number,
        epochs=1,
        batch={"gradient_updates": 1},
        sampler={"storage_dtype": "float32"},
        kl_beta=None,
    )
    updates = run(models, tmp_path, chosen, arm)
    fresh = policy(models, chosen, train=True)
    before = {name: value.clone() for name, value in fresh.trainable().items()}
    rows = module.step_gradients(Run(chosen, load_arm(arm), 0, fresh, brightness, PROMPTS), epoch=0)
    trained = chosen.sampler.steps - chosen.timesteps.skip_last
    assert [row["step"] for row in rows] == list(range(trained))
    whole = sum(row["cosine"] * row["grad_norm"] for row in rows)
    assert whole / trained == pytest.approx(updates["grad_norm"].item(), rel=1e-5)
    assert all(torch.equal(before[name], value) for name, value in fresh.trainable().items())
    named = [{"experiment": "a", "arm": arm, "seed": 0} | row for row in rows]
    frames.check(frames.of_rows(named, frames.GRADIENTS), frames.GRADIENTS, "here")


def test_direction_and_signal_to_noise_of_planted_gradients(models, monkeypatch):
    chosen = experiment(8, epochs=1)
    planted = {
        # groups (mean, noise): the same in each group; opposite ones, whose mean is 0
        0: [[3.0, 0.0], [3.0, 0.0], [3.0, 0.0], [3.0, 0.0]],
        1: [[1.0, 5.0], [1.0, 3.0], [1.0, 5.0], [1.0, 3.0]],
    }

    def groups(run, micro_batches, advantages, step):
        assert len(micro_batches) * module.PARTS == 4
        return [torch.tensor(gradient) for gradient in planted[step]]

    monkeypatch.setattr(module, "_groups", groups)
    fresh = policy(models, chosen, train=True)
    first, second = module.step_gradients(
        Run(chosen, load_arm("pcpo"), 0, fresh, brightness, PROMPTS), epoch=0
    )
    assert first["grad_norm"] == 3
    assert np.isnan(first["signal_to_noise"])  # no noise at all
    assert second["grad_norm"] == pytest.approx(np.hypot(1, 4))
    # Variance of a group's gradient: 4/3 (5, 3, 5, 3); of the mean of four: 1/3.
    assert second["signal_to_noise"] == pytest.approx(17 / (1 / 3))
    assert first["cosine"] == pytest.approx(4 / np.hypot(4, 4))
    assert second["cosine"] == pytest.approx((1 * 4 + 4 * 4) / (np.hypot(1, 4) * np.hypot(4, 4)))


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
