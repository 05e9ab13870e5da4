"""One gradient update: log-ratios, loss and gradients of the images of a rollout.

B images of a micro-batch, S trained steps of each image, T sampler steps, M images of the update
over all processes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pcpo.objectives import OBJECTIVES, kl, matching_log_ratio
from pcpo.prompts.draws import derive_seed
from pcpo.samplers.flow import Flow
from pcpo.training.clip_range import ClipRange
from pcpo.training.learner import Learner
from pcpo.training.rollout import MicroBatch, Rollout
from pcpo.training.run import Run
from pcpo.training.statistics import step_statistics, update_statistics
from pcpo.trajectory import Predict, Trajectory


class TrainingDiverged(ValueError):
    """A loss, reward or gradient is NaN; checkpoints written before it are kept."""


def gradient_update(
    run: Run,
    learner: Learner,
    clip_range: ClipRange,
    rollout: Rollout,
    advantages: Tensor,
    number: int,
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Gradient update `number` of an epoch, from 1: its columns of UPDATES, its rows of TIMESTEPS.

    clip_range observes the update. advantages: fp32 `(N,)`, of all images of the iteration.
    Gradients are accumulated over images and timesteps. Raises TrainingDiverged if the loss or the
    gradient is not finite.
    """
    images = run.experiment.batch.images_per_update
    own = advantages[(number - 1) * images : number * images]
    steps = _trained_steps(run, rollout.epoch, number)
    micro_batches = rollout.micro_batches[number - 1]
    terms = _accumulate(run, learner, clip_range, micro_batches, own, steps)
    terms = {key: run.processes.gather(value) for key, value in terms.items()}
    where = f"epoch {rollout.epoch}, update {number}"
    lost = ~torch.isfinite(terms["loss"])
    if lost.any():
        raise TrainingDiverged(
            f"{where}, sampler steps {terms['step'][lost].unique().tolist()}: the loss is NaN or "
            "infinite; the last checkpoint is kept; lower optimizer.learning_rate"
        )
    gradients = learner.step(run.processes)
    if not math.isfinite(gradients["grad_norm"]) and not learner.skips_overflows:
        raise TrainingDiverged(f"{where}: the gradient norm is not finite")
    clip_range.observe(terms)
    by_step = step_statistics(terms, clip_range, run.sampler.timesteps)
    return update_statistics(terms) | gradients, by_step


def _trained_steps(run: Run, epoch: int, number: int) -> Tensor:
    """Step indices `(M, S)`: all trained steps in order, or a random share for each image.

    Drawn for all images of the update, so that they do not depend on the number of processes.
    """
    images, steps = run.experiment.batch.images_per_update, run.trained(epoch).nonzero()[:, 0]
    count = run.experiment.trained_count(run.arm, len(steps))
    if count == len(steps):
        return steps.expand(images, -1)
    rng = np.random.default_rng(derive_seed("timesteps", run.seed, epoch, number))
    chosen = [rng.permutation(len(steps))[:count] for _ in range(images)]
    return steps[torch.from_numpy(np.stack(chosen))]


def _accumulate(
    run: Run,
    learner: Learner,
    clip_range: ClipRange,
    micro_batches: Sequence[MicroBatch],
    advantages: Tensor,
    steps: Tensor,
) -> dict[str, Tensor]:
    """Add the gradients of this process's micro-batches: a forward for each trained step.

    advantages: `(M,)`; steps: `(M, S)`. Returns the `loss_term` of each forward, stacked on the
    device. Nothing is copied back before the last forward, so that the host does not wait.
    """
    size, device = run.experiment.batch.micro_batch, run.policy.device
    forwards = len(advantages) // size * steps.shape[1]  # of all processes
    # A sharded gradient is averaged over the processes, others are summed (`Learner.step`).
    share = run.processes.size if run.policy.sharded else 1
    terms: list[dict[str, Tensor]] = []
    for micro, index in zip(micro_batches, run.own_micro_batches, strict=True):
        images = slice(index * size, (index + 1) * size)
        conditioning = run.policy.encode(micro.prompts)
        predict = run.policy.conditioned(conditioning, run.experiment.sampler.guidance_scale)
        advantage, own = advantages[images].to(device), steps[images]
        references = reference_predictions(run, predict, micro.trajectory, own)
        chosen = zip(own.unbind(1), own.to(device).unbind(1), references, strict=True)
        for picked, step, reference in chosen:
            old = micro.trajectory.at(picked, device)
            term = loss_term(run, clip_range, predict, old, step, advantage, reference)
            learner.backward(term["loss"] * share / forwards)
            terms.append({key: value.detach() for key, value in term.items()})
    return {key: torch.stack([term[key] for term in terms]) for key in terms[0]}


@torch.no_grad()
def reference_predictions(
    run: Run, predict: Predict, trajectory: Trajectory, steps: Tensor
) -> list[Tensor | None]:
    """The base model's predictions, with which a KL term compares: S tensors `(B, ...)`, or None.

    steps: `(B, S)`, on the CPU. The adapter is switched off and on once for all of them: to do so
    takes as long as half a forward of a small model.
    """
    if run.experiment.kl_beta is None:
        return [None] * steps.shape[1]
    found: list[Tensor | None] = []
    with run.policy.reference():
        for picked in steps.unbind(1):
            x = trajectory.inputs(picked, run.policy.device)
            found.append(predict(x, run.sampler.timesteps[picked.to(x.device)]))
    return found


def loss_term(
    run: Run,
    clip_range: ClipRange,
    predict: Predict,
    old: Trajectory,
    step: Tensor,
    advantage: Tensor,
    reference: Tensor | None,
) -> dict[str, Tensor]:
    """The loss of one forward, a scalar mean over its B images, and the values to log.

    old: the rollout's tensors of each image at its step; step: `(B,)`; advantage: fp32 `(B,)`;
    reference: of `reference_predictions`.
    log_ratio, sign and step are `(B,)`, and sampler_log_ratio where the clip range follows it;
    loss, kl and the two fractions are scalars.
    """
    assert old.latents is not None
    prediction = predict(old.latents, run.sampler.timesteps[step])
    log_ratio = _log_ratio(run, old, step, prediction)
    bounds = clip_range.bounds(step, log_ratio.dtype)
    factor = run.arm.loss_factor
    scale = factor if run.region.scale is None else factor * run.region.scale[step]
    # Eq. (1) with `ppo_clip`, Eq. (3) with `log_hinge`.
    result = OBJECTIVES[run.arm.objective](log_ratio, advantage, bounds, scale)
    loss, divergence = result.loss, torch.full_like(result.loss, math.nan)
    if reference is not None:
        assert run.experiment.kl_beta is not None
        divergence = kl(prediction, reference, _kl_scale(run)[step]).mean()
        loss = loss + run.experiment.kl_beta * run.arm.kl * divergence
    followed = {}
    if run.arm.clipping == "matched":
        assert old.predictions_old is not None and old.noise is not None
        with torch.no_grad():
            followed["sampler_log_ratio"] = matching_log_ratio(
                prediction, old.predictions_old, old.noise, run.native[step]
            )
    return followed | {
        "step": step,
        "log_ratio": log_ratio,
        "loss": loss,
        "kl": divergence,
        "clip_fraction": result.clip_fraction,
        "gated_fraction": result.gated_fraction,
        "sign": advantage.sign(),
    }


def _log_ratio(run: Run, old: Trajectory, step: Tensor, prediction: Tensor) -> Tensor:
    """log rho `(B,)`, the mean over latent dimensions, by Eq. (4) or from the sampler's density.

    By Eq. (4), on flow Eq. (8), it is what the arm's trust region sees.
    """
    if run.arm.log_ratio == "matching":
        assert old.predictions_old is not None and old.noise is not None
        region = run.region
        quadratic = None if region.quadratic is None else region.quadratic[step]
        return matching_log_ratio(
            prediction, old.predictions_old, old.noise, region.linear[step], quadratic
        )
    x, x_next = old.latents, old.next_latents
    assert x is not None and x_next is not None and old.log_probs is not None
    # As the baselines: log p(x' | x) now, minus log p(x' | x) in the rollout.
    return run.sampler.log_prob(step, x, prediction, x_next) - old.log_probs


def _kl_scale(run: Run) -> Tensor:
    """The factor of `objectives.kl` at each sampler step, fp32 `(T,)`."""
    assert isinstance(run.sampler, Flow)
    return run.sampler.kl_scale().float()
