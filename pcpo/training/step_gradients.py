"""The gradient of each timestep at a checkpoint: size, spread, direction, signal to noise.

Images of an iteration are sampled from the checkpoint, and the loss is differentiated there for one
sampler step at a time. So this is the on-policy case, in which the ratio is 1 and nothing is
clipped; the off-policy clip fractions of each step are in `frames.TIMESTEPS`. No weight changes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pcpo import advantages as advantage_kinds
from pcpo.prompts.draws import iteration_prompts
from pcpo.training.clip_range import ClipRange
from pcpo.training.rollout import roll_out
from pcpo.training.run import Run
from pcpo.training.update import loss_term

PARTS = 2  # groups of images in a micro-batch: the noise is measured between groups


def step_gradients(run: Run, epoch: int) -> list[dict[str, Any]]:
    """Rows of `frames.GRADIENTS`, without the run's names, for the policy's present weights.

    epoch: of the checkpoint; the images have the prompts and the noise of the epoch after it.
    Advantages are those of a run's first iteration: running statistics have no past. One process;
    the host holds a gradient of every trained step.

    Raises ValueError for rewards that have no advantages and for a micro-batch of fewer than two
    images.
    """
    experiment, size = run.experiment, run.experiment.batch.micro_batch
    if size < PARTS:
        raise ValueError(f"{experiment.name}: batch.micro_batch: {size} is less than {PARTS}")
    ids = iteration_prompts(experiment.batch, len(run.prompts), run.seed, epoch + 1)
    run.policy.prepare(sorted({"", *(run.prompts[i] for i in ids)}))
    rollout = roll_out(run, epoch + 1, ids)
    build = advantage_kinds.build(experiment.advantage)
    advantages = torch.from_numpy(build(np.asarray(ids), rollout.rewards)).float()
    steps = run.trained(epoch + 1).nonzero()[:, 0].tolist()
    micro_batches = [micro for update in rollout.micro_batches for micro in update]
    means, spreads = [], []
    for step in steps:
        groups = _groups(run, micro_batches, advantages, step)
        total, squares = groups[0].clone(), float(groups[0].double().square().sum())
        for gradient in groups[1:]:
            total += gradient
            squares += float(gradient.double().square().sum())
        mean = total / len(groups)
        means.append(mean)
        # Unbiased variance of one group's gradient, summed over parameters.
        square = float(mean.double().square().sum())
        spreads.append(max(squares / len(groups) - square, 0.0) * len(groups) / (len(groups) - 1))
    whole = torch.stack(means).sum(0)
    return [
        {
            "epoch": epoch,
            "step": step,
            "timestep": float(run.sampler.timesteps[step]),
            "weight": float(run.schedule.weights[step]),
            "groups": len(micro_batches) * PARTS,
            "grad_norm": float(mean.double().norm()),
            "gradient_abs_mean": float(mean.double().abs().mean()),
            "gradient_abs_var": float(mean.double().abs().var(correction=0)),
            "cosine": _cosine(mean, whole),
            "signal_to_noise": _ratio(
                float(mean.double().square().sum()),
                spread / (len(micro_batches) * PARTS),
            ),
        }
        for step, mean, spread in zip(steps, means, spreads, strict=True)
    ]


def _groups(run: Run, micro_batches: list[Any], advantages: Tensor, step: int) -> list[Tensor]:
    """The gradient of each group of images, flat fp32 on the CPU; the loss is the group's mean."""
    parameters = list(run.policy.trainable().values())
    size, device = run.experiment.batch.micro_batch, run.policy.device
    clip_range = ClipRange("fixed", run.experiment.clip_range)
    picked = torch.full((size,), step)
    gradients = []
    for number, micro in enumerate(micro_batches):
        predict = run.policy.conditioned(
            run.policy.encode(micro.prompts), run.experiment.sampler.guidance_scale
        )
        own = advantages[number * size : (number + 1) * size].to(device)
        old, on_device = micro.trajectory.at(picked, device), picked.to(device)
        for part in range(PARTS):
            # The forward has the batch's whole shape; other images get no weight.
            inside = (torch.arange(size) % PARTS == part).to(device)
            weighted = own * inside * (size / inside.sum())
            term = loss_term(run, clip_range, predict, old, on_device, weighted)
            found = torch.autograd.grad(term["loss"], parameters)
            gradients.append(torch.cat([g.flatten() for g in found]).float().cpu())
    return gradients


def _cosine(one: Tensor, other: Tensor) -> float:
    return _ratio(
        float(one.double() @ other.double()), float(one.double().norm() * other.double().norm())
    )


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else float("nan")
