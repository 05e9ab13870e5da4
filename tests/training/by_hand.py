"""What the updates of a run's first epoch compare, found without the trainer's update."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pcpo import advantages, samplers
from pcpo.config import load_arm
from pcpo.prompts.draws import iteration_prompts
from pcpo.training.observer import Observer
from pcpo.training.rollout import roll_out
from pcpo.training.run import Run
from tests.small import PROMPTS, brightness, experiment, policy
from tests.training.runs import run


@dataclass
class Terms:
    """The terms of an update, one for each image and trained step, in float64.

    cross, square: mean(delta z) and mean(delta^2) of an image. density_ratio: the logarithm of the
    ratio of the sampler's densities of the step that was taken.
    """

    step: Tensor
    advantage: Tensor
    cross: Tensor
    square: Tensor
    density_ratio: Tensor

    def log_ratio(self, linear: Tensor, quadratic: Tensor) -> Tensor:
        """-(f mean(delta z) + q mean(delta^2)), f and q `(T,)`."""
        return -(linear[self.step] * self.cross + quadratic[self.step] * self.square)


def off_policy(**changes):
    """Flow-GRPO without KL: four trained steps, and updates of two images far from each other."""
    batch = {"images_per_iteration": 8, "prompts_per_iteration": 4, "gradient_updates": 4}
    return experiment(
        8,
        batch=batch,
        sampler={"steps": 5},
        optimizer={"learning_rate": 0.03},
        **{"epochs": 1, "kl_beta": None} | changes,
    )


def train_and_compare(models, path, chosen, arm):
    """The updates of a run that trains every step of each image, and the first epoch's Terms."""
    weights = []

    def watch(whole):
        def remember(row=None):
            trained = whole.policy.trainable()
            weights.append({name: value.detach().clone() for name, value in trained.items()})

        remember()
        return Observer(update=remember)

    updates = run(models, path, chosen, arm, watch=watch)
    fresh = policy(models, chosen, train=True)
    ids = iteration_prompts(chosen.batch, len(PROMPTS), 0, 1)
    rollout = roll_out(Run(chosen, load_arm(arm), 0, fresh, brightness, PROMPTS), 1, ids)
    scores = torch.from_numpy(advantages.build(chosen.advantage)(np.asarray(ids), rollout.rewards))
    found = []
    for number, micro_batches in enumerate(rollout.micro_batches):
        with torch.no_grad():
            for name, value in fresh.trainable().items():
                value.copy_(weights[number][name])
        own = scores.chunk(len(rollout.micro_batches))[number].split(chosen.batch.micro_batch)
        parts = [
            part
            for micro, advantage in zip(micro_batches, own, strict=True)
            for part in _by_step(chosen, fresh, micro, advantage)
        ]
        found.append(Terms(*map(torch.cat, zip(*parts, strict=True))))
    return updates, found


@torch.no_grad()
def _by_step(chosen, trained, micro, advantage):
    """The fields of Terms at each trained step of a micro-batch, by the weights of `trained`."""
    native = samplers.build(chosen.sampler, trained.scheduler_config)
    conditioning, kept = trained.encode(micro.prompts), micro.trajectory
    predict = trained.conditioned(conditioning, chosen.sampler.guidance_scale)
    for index in range(len(native) - chosen.timesteps.skip_last):
        step = torch.full((len(micro.prompts),), index)
        x, old, z = kept.latents[:, index], kept.predictions_old[:, index], kept.noise[:, index]
        new = predict(x, native.timesteps[step]).double()
        x, x_next, old, z = (v.double() for v in (x, kept.latents[:, index + 1], old, z))
        before, now = (native.log_prob(step, x, prediction, x_next) for prediction in (old, new))
        delta = (new - old).flatten(1)
        cross, square = (delta * z.flatten(1)).mean(1), delta.square().mean(1)
        yield step, advantage, cross, square, now - before
