"""The gradient of each timestep at a checkpoint: size, spread, direction, signal to noise.

Images of an iteration are sampled from the checkpoint, and the loss is differentiated there for one
sampler step at a time. So this is the on-policy case, in which the ratio is 1 and nothing is
clipped, rounding aside; the off-policy clip fractions of each step are in `frames.TIMESTEPS`. No
weight changes.

The noise is measured between groups of images. The images of a prompt are one after the other, so
that a group has all images of its prompts where their number divides the group's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pcpo import advantages as advantage_kinds
from pcpo.config.gradients import parts_of
from pcpo.prompts.draws import iteration_prompts
from pcpo.records import frames
from pcpo.training.clip_range import ClipRange
from pcpo.training.rollout import MicroBatch, roll_out
from pcpo.training.run import Run
from pcpo.training.update import loss_term, reference_predictions
from pcpo.trajectory import Predict

# Factor of the loss in fp16, where small gradients underflow; halved where large ones overflow.
LARGEST_SCALE = 2.0**16


def step_gradients(run: Run, epoch: int) -> list[dict[str, Any]]:
    """Rows of `frames.GRADIENTS`, without the run's names, for the policy's present weights.

    epoch: of the checkpoint; the images have the prompts of the epoch after it. Advantages are
    those of a run's first iteration: running statistics have no past. The KL term of a group is
    that of its micro-batch. One process; the host holds a gradient of every trained step, fp32.

    Raises ValueError for an iteration of fewer than two groups, and for rewards that have no
    advantages.
    """
    experiment = run.experiment
    size, images = experiment.batch.micro_batch, experiment.batch.images_per_iteration
    if (groups := images // size * parts_of(size)) < 2:
        raise ValueError(
            f"{experiment.name}: batch.micro_batch: {size} of {images} images an iteration make "
            "one group, and noise is measured between groups; lower it"
        )
    in_sequence = experiment.batch.model_copy(update={"shuffle": False})
    ids = iteration_prompts(in_sequence, len(run.prompts), run.seed, epoch + 1)
    run.policy.prepare(sorted({"", *(run.prompts[i] for i in ids)}))
    run.policy.release()
    rollout = roll_out(run, epoch + 1, ids)
    run.policy.release()
    build = advantage_kinds.build(experiment.advantage)
    advantages = torch.from_numpy(build(np.asarray(ids), rollout.rewards)).float()
    steps = run.trained(epoch + 1).nonzero()[:, 0].tolist()
    micro_batches = [micro for update in rollout.micro_batches for micro in update]
    sums, together = [_Sum() for _ in steps], _Sum()
    for gradients in _groups(run, micro_batches, advantages, steps):
        whole = torch.zeros(())
        for own, gradient in zip(sums, gradients, strict=True):
            own.add(gradient)
            whole = whole + gradient
        together.add(whole)
    timesteps, weights = run.sampler.timesteps.tolist(), run.schedule.weights.tolist()
    named = [{"step": s, "timestep": timesteps[s], "weight": weights[s]} for s in steps]
    named.append({"step": frames.WHOLE, "timestep": math.nan, "weight": math.nan})
    return [
        {"epoch": epoch, **name, "groups": groups, **_statistics(own, together)}
        for name, own in zip(named, [*sums, together], strict=True)
    ]


@dataclass
class _Sum:
    """The sum of gradients (P,) of groups, of their squared norms, and their number."""

    total: Tensor = field(default_factory=lambda: torch.zeros(()))
    squares: float = 0.0
    count: int = 0

    def add(self, gradient: Tensor) -> None:
        self.total = self.total.add_(gradient) if self.count else gradient.clone()
        self.squares += _square(gradient)
        self.count += 1


def _statistics(own: _Sum, together: _Sum) -> dict[str, float]:
    """The columns of the mean gradient over the groups, and its direction against another one."""
    size = own.total.double().abs() / own.count
    square, whole = _square(own.total), _square(together.total)
    # The unbiased variance of a group's gradient, summed over parameters, over their number.
    mean_square = square / own.count**2
    spread = max(own.squares / own.count - mean_square, 0.0) / (own.count - 1)
    return {
        "grad_norm": float(size.norm()),
        "gradient_abs_mean": float(size.mean()),
        "gradient_abs_var": float(size.var(correction=0)),
        "cosine": _ratio(
            float(own.total.double() @ together.total.double()), math.sqrt(square * whole)
        ),
        "signal_to_noise": _ratio(mean_square, spread),
    }


def _groups(
    run: Run, micro_batches: list[MicroBatch], advantages: Tensor, steps: list[int]
) -> Iterator[Iterator[Tensor]]:
    """For each group of images the gradient of each step; the loss is the group's mean."""
    size, device = run.experiment.batch.micro_batch, run.policy.device
    parts = parts_of(size)
    for number, micro in enumerate(micro_batches):
        predict = run.policy.conditioned(
            run.policy.encode(micro.prompts), run.experiment.sampler.guidance_scale
        )
        own = advantages[number * size : (number + 1) * size]
        for part in range(parts):
            # The forward has the batch's whole shape; other images get no weight.
            inside = torch.arange(size) * parts // size == part
            yield _of_group(run, micro, predict, (own * inside * parts).to(device), steps)


def _of_group(
    run: Run, micro: MicroBatch, predict: Predict, advantages: Tensor, steps: list[int]
) -> Iterator[Tensor]:
    """The gradient of each step, flat fp32 on the CPU; advantages: `(B,)`."""
    parameters = list(run.policy.trainable().values())
    clip_range = ClipRange("fixed", run.experiment.clip_range)
    scale = LARGEST_SCALE if run.experiment.precision == "fp16" else 1.0
    for step in steps:
        picked = torch.full((len(micro.prompts),), step)
        old = micro.trajectory.at(picked, run.policy.device)
        on_device = picked.to(run.policy.device)
        (base,) = reference_predictions(run, predict, micro.trajectory, picked[:, None])
        term = loss_term(run, clip_range, predict, old, on_device, advantages, base)
        yield flat_gradient(term["loss"], parameters, scale)


def flat_gradient(loss: Tensor, parameters: list[torch.nn.Parameter], scale: float) -> Tensor:
    """The gradient of a loss, flat fp32 on the CPU, by way of scale times the loss.

    The scale is halved, down to 1, until the gradient is finite.
    """
    while True:
        found = torch.autograd.grad(loss * scale, parameters, retain_graph=scale > 1)
        gradient = torch.cat([g.flatten() for g in found]).float().cpu() / scale
        if scale <= 1 or torch.isfinite(gradient).all():
            return gradient
        scale /= 2


def _square(gradient: Tensor) -> float:
    return float(gradient.double().square().sum())


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else math.nan
