"""The plain loops of the official order do the work of ours: equal losses and weights."""

from dataclasses import dataclass

import pytest
import torch

from pcpo.config import load_arm
from pcpo.cost.official_order import Draws, OfficialOrder
from pcpo.training.loop import train
from pcpo.training.observer import Observer
from pcpo.training.rollout import initial_noise_index
from pcpo.training.run import Run
from pcpo.training.run_folder import RunFolder
from pcpo.training.update import _trained_steps
from pcpo.trajectory import gaussian_noise
from tests.small import PROMPTS, brightness, experiment, policy


@dataclass(frozen=True)
class OfOurs(Draws):
    """The noises and steps of a run of ours with seed 0."""

    run: Run

    def initial(self, epoch, images):
        own = [("initial", 0, epoch, initial_noise_index(i, self.experiment)) for i in images]
        return gaussian_noise(own, 1, self.shape)[:, 0]

    def noise(self, epoch, images, step):
        own = [("steps", 0, epoch, image) for image in images]
        return gaussian_noise(own, self.experiment.sampler.steps, self.shape)[:, step]

    def steps(self, epoch, update, trainable):
        return _trained_steps(self.run, epoch, update)


def epochs_of_both(models, tmp_path, chosen, sample):
    """Two epochs of our loop and of the plain one: rows of updates, and the policies, of each."""
    ours, plain = (policy(models, chosen, train=True) for _ in range(2))
    run, rows = Run(chosen, load_arm("baseline"), 0, ours, brightness, PROMPTS), []
    train(run, RunFolder(tmp_path, "same"), [Observer(update=rows.append)], lambda message: None)
    draws = OfOurs(chosen, plain.latent_shape, plain.device, run)
    order = OfficialOrder(plain, chosen, brightness, PROMPTS, sample=sample, train=2, draws=draws)
    return rows, [update for _ in range(2) for update in order.epoch()], ours, plain


# DDPO, DanceGRPO on SD and on FLUX, and Flow-GRPO with its KL term and guidance; DDPO's original
# samples more images at a time than it trains.
@pytest.mark.parametrize(("number", "sample"), [(1, 2), (1, 4), (5, 2), (6, 2), (8, 2)])
def test_a_plain_loop_gives_the_losses_and_weights_of_ours(models, tmp_path, number, sample):
    # Latents are stored in fp32: in fp16, two roundings of a latent near the middle between two
    # numbers end apart by far more than the tolerances, on one processor or another.
    sampler = {"storage_dtype": "float32"}
    if number == 8:
        sampler |= {"steps": 3, "guidance_scale": 4.5}
    # With the smoke scale's clip range, rounding decides which terms of a first update are clipped.
    chosen = experiment(number, epochs=2, ema=None, clip_range=1e-2, sampler=sampler)
    began = [v.detach().clone() for v in policy(models, chosen, train=True).trainable().values()]
    rows, updates, ours, plain = epochs_of_both(models, tmp_path, chosen, sample)

    assert len(rows) == len(updates) == 4
    for row, update in zip(rows, updates, strict=True):
        assert update["loss"] == pytest.approx(row["loss"], abs=1e-4)  # advantages are about 1
        assert update["grad_norm"] == pytest.approx(row["grad_norm"], rel=2e-3)
        assert update["clip_fraction"] == row["clip_fraction"]
        if number == 8:
            assert update["kl"] == pytest.approx(row["kl"], rel=1e-3, abs=1e-9)
    weights = [list(each.trainable().values()) for each in (ours, plain)]
    move = torch.cat([(a - b).flatten() for a, b in zip(weights[0], began, strict=True)])
    apart = torch.cat([(a - b).flatten() for a, b in zip(*weights, strict=True)])
    # Adam's first step is a gradient's sign, also where the gradient is rounding alone.
    assert apart.norm() < (0.1 if chosen.lora is None else 0.01) * move.norm()


@pytest.mark.parametrize(("number", "dtype"), [(1, "float16"), (5, "bfloat16")])
def test_a_plain_loop_stores_latents_as_ours(models, tmp_path, number, dtype):
    chosen = experiment(number, epochs=1, ema=None, sampler={"storage_dtype": dtype})
    rows, updates, *_ = epochs_of_both(models, tmp_path, chosen, 2)
    # On-policy, the log-ratio is the rounding of stored latents alone.
    assert rows[0]["log_ratio_std"] > 1e-4
    square = rows[0]["log_ratio_mean"] ** 2 + rows[0]["log_ratio_std"] ** 2
    assert updates[0]["approx_kl"] == pytest.approx(0.5 * square, rel=0.5)
