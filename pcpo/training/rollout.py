"""The rollout: sample and score the images of one iteration, each image in one process.

B images of a micro-batch, T sampler steps, N images of the iteration over all processes. An
image's index is its position among the N.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcpo.config import Experiment
from pcpo.training.run import Run
from pcpo.trajectory import DTYPES, Trajectory, gaussian_noise, sample


@dataclass(frozen=True)
class MicroBatch:
    """Images of one forward in the rollout, and of one forward per trained step in the update.

    prompts: B texts. trajectory: of the B images, on the CPU.
    """

    prompts: list[str]
    trajectory: Trajectory


@dataclass(frozen=True)
class Rollout:
    """The data of the updates of an epoch.

    prompt_ids: N ids, and rewards: float64 `(N,)`, of all images of the iteration.
    micro_batches: for each update, those of this process (`Run.own_micro_batches`), in order.
    """

    epoch: int
    prompt_ids: list[int]
    rewards: NDArray[np.float64]
    micro_batches: list[list[MicroBatch]]


def roll_out(run: Run, epoch: int, prompt_ids: list[int]) -> Rollout:
    """Sample and score one iteration; prompt_ids has one id for each of its N images.

    Raises ValueError if the reward does not return one value per image.
    """
    own, per_update = run.own_micro_batches, run.experiment.micro_batches
    size, updates = run.experiment.batch.micro_batch, run.experiment.gradient_updates
    numbers = [update * per_update + index for update in range(updates) for index in own]
    together = run.experiment.rollout_batch(run.arm) // size
    sampled, rewards = [], []
    for first in range(0, len(numbers), together):
        group = numbers[first : first + together]
        indices = [number * size + index for number in group for index in range(size)]
        prompts = [run.prompts[prompt_ids[index]] for index in indices]
        trajectory = _sample(run, epoch, indices, prompts)
        rewards += _score(run, trajectory.final, prompts).split(size)
        # Trajectories are kept in host memory: at 50 steps an iteration of SD has gigabytes.
        for part, start in zip(
            trajectory.to("cpu").split(size), range(0, len(prompts), size), strict=True
        ):
            sampled.append(MicroBatch(prompts[start : start + size], part))
    return Rollout(
        epoch,
        prompt_ids,
        _of_all(run, numbers, torch.stack(rewards)),
        [sampled[update * len(own) : (update + 1) * len(own)] for update in range(updates)],
    )


def _sample(run: Run, epoch: int, indices: Sequence[int], prompts: Sequence[str]) -> Trajectory:
    """Sample the images `indices`; their noise depends on their indices alone."""
    config, arm, policy = run.experiment.sampler, run.arm, run.policy

    def noise(stream: str, numbers: Iterable[int], count: int) -> Tensor:
        keys: list[tuple[str | int, ...]] = [(stream, run.seed, epoch, n) for n in numbers]
        return gaussian_noise(keys, count, policy.latent_shape).to(policy.device)

    shared = [initial_noise_index(index, run.experiment) for index in indices]
    repeated = run.experiment.rollout_batch(arm) == run.experiment.batch.micro_batch
    predict = policy.conditioned(policy.encode(prompts), config.guidance_scale, repeated)
    return sample(
        predict,
        run.sampler_of(epoch),
        noise("initial", shared, 1)[:, 0],
        noise("steps", indices, len(run.sampler)),
        storage=DTYPES[config.storage_dtype if arm.storage == "original" else "float32"],
        keep=arm.log_ratio,
        reference=policy.as_reference(predict),
        change=run.schedule.change if run.schedule.moves_prediction else None,
    )


def initial_noise_index(index: int, experiment: Experiment) -> int:
    """Which initial noise an image has: its own, or one of a few (DanceGRPO: one per rank).

    All images of a prompt share one. In the original, the prompts of a rank are spread over its
    updates, so that each update has every rank's noise. Here prompts take the noises in turn.
    """
    groups = experiment.sampler.initial_noise_groups
    if groups == 0:
        return index
    assert experiment.batch.images_per_prompt is not None
    return index // experiment.batch.images_per_prompt % groups


def _score(run: Run, latents: Tensor, prompts: Sequence[str]) -> Tensor:
    """Rewards `(B,)` float64 on the CPU, of the images decoded from latents `(B, ...)`."""
    scores = run.reward(run.policy.decode(latents), prompts).double().cpu()
    if scores.shape != (len(prompts),):
        raise ValueError(
            f"reward '{run.experiment.reward.name}' returned shape {tuple(scores.shape)} "
            f"for {len(prompts)} images"
        )
    return scores


def _of_all(run: Run, numbers: Sequence[int], rewards: Tensor) -> NDArray[np.float64]:
    """Rewards `(N,)` of all processes, by image index.

    rewards: `(len(numbers), B)`, of this process's micro-batches, whose numbers in the iteration
    are `numbers`.
    """
    order = run.processes.gather(torch.tensor(numbers)).flatten()
    gathered = run.processes.gather(rewards).flatten(0, 1)
    return gathered[order.argsort()].flatten().numpy()
