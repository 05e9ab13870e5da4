"""The training loop: sample, score, advantage, update, log, checkpoint.

One loop serves all three baselines and every arm. Baseline and PCPO differ in two values that are
made before the loop starts: a credit schedule and an objective (`Arm`).

Departures from the originals, on purpose:
- rollout and update share one forward with one batch shape, and an update replays the rollout's
  micro-batches as they were sampled; so the on-policy log-ratio of the matching arms is exactly 0;
- every forward of an update holds `micro_batch` (image, timestep) pairs, each image at a step of
  its own, and is one of the shape of the rollout's;
- images are grouped by prompt id, and noise depends on (seed, epoch, slot), not on the process;
- where the originals shuffle images between updates, the prompts are shuffled before the rollout;
- prompts are drawn anew in each iteration, DanceGRPO's without replacement over the run.
Smaller ones stand where they happen: advantages.py (equal rewards), policies/base.py (rounding to
uint8, precision of frozen weights).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pcpo import advantages as advantage_kinds
from pcpo.config import Arm, Experiment
from pcpo.credit import CreditSchedule, arm_sampler
from pcpo.objectives import OBJECTIVES, kl, matching_log_ratio
from pcpo.policies.base import Policy
from pcpo.prompts.draws import derive_seed, iteration_prompts
from pcpo.samplers import Sampler
from pcpo.samplers.flow_sde import FlowSDE
from pcpo.training.learner import Learner
from pcpo.training.processes import Processes
from pcpo.training.run_folder import RunFolder, RunState, StaleState
from pcpo.training.set_aside import commands, set_aside
from pcpo.training.stop_request import StopRequest
from pcpo.training.validation import validate, validation_sampler
from pcpo.trajectory import DTYPES, Trajectory, gaussian_noise, sample

Reward = Callable[[Tensor, Sequence[str]], Tensor]
Report = Callable[[dict[str, Any]], None]
QUANTILES = (0, 1, 5, 25, 50, 75, 95, 99, 100)


class TrainingDiverged(ValueError):
    """A loss, reward or gradient is NaN; checkpoints written before it are kept."""


@dataclass(frozen=True)
class _MicroBatch:
    prompt_ids: list[int]
    texts: list[str]
    trajectory: Trajectory


def train(
    experiment: Experiment,
    arm: Arm,
    seed: int,
    policy: Policy,
    reward: Reward,
    prompts: Sequence[str],
    folder: RunFolder,
    report: Report = lambda row: None,
    log: Callable[[str], None] = print,
    processes: Processes | None = None,
    validation_prompts: Sequence[str] = (),
) -> None:
    """Train one run to its last epoch, going on from where an earlier process stopped.

    A run that is past that epoch is complete: its outputs then hold what it was up to there.
    validation_prompts: of the experiment's validation, if it has one. Several processes call it
    alike and share the work; the first one reports and writes. Calls `report` with a row of
    `frames.UPDATES` after each gradient update. Raises TrainingDiverged on a NaN, after which the
    next call goes on from the last checkpoint.
    """
    processes = processes or Processes(device=str(policy.device))
    if experiment.validation is not None and not validation_prompts:
        raise ValueError(f"{experiment.name}: validation.prompts: the run was given none of them")
    batch = experiment.batch
    sampler, schedule = arm_sampler(experiment, arm, policy.scheduler_config)
    sampler = sampler.to(policy.device)
    advantage = advantage_kinds.build(experiment.advantage)
    learner = Learner.start(experiment, policy)
    try:
        state = folder.load_state(learner, experiment.epochs, log)
    except StaleState as stale:
        log(f"{stale}; starting over")
        processes.barrier()
        if processes.is_main and (kept := set_aside(folder.path, str(stale))):
            log(f"nothing is lost of the run that was here: {commands(kept)}")
        state = None
    if state is None:
        state = RunState(0, {})
    else:
        advantage.restore(state.advantages)
        log(f"going on after epoch {state.epoch}")
    if processes.is_main:
        folder.record("started", epoch=state.epoch, **folder.origin)
    run = {"experiment": experiment.name, "arm": arm.name, "seed": seed}

    def validate_after(epoch: int) -> None:
        if experiment.validation is None or epoch % experiment.validation.every:
            return
        chosen = validation_sampler(experiment, policy.scheduler_config).to(policy.device)
        with learner.evaluated():
            row = validate(experiment, policy, chosen, reward, validation_prompts, processes)
        state.logs["validation"].append(run | {"epoch": epoch} | row)
        log(f"epoch {epoch} validation reward {row['reward_mean']:.5g} on {row['images']} images")

    def save_weights(epoch: int) -> None:
        with learner.evaluated():
            folder.save_weights(policy, epoch, write=processes.is_main)
        state.checkpoints = sorted({*state.checkpoints, epoch})

    # Whose micro-batches: a contiguous share of each update's.
    per_update = experiment.micro_batches
    own = processes.share(per_update)
    streams = _prompt_streams(experiment, len(prompts), seed, state.epoch)
    _prepare_prompts(policy, [prompts[i] for ids in streams for i in ids], processes)

    if state.epoch == experiment.epochs and state.epoch not in state.checkpoints:
        save_weights(state.epoch)  # where a longer training was stopped
        folder.save_state(state, learner, write=processes.is_main)
    with StopRequest() as stop:
        if state.epoch == 0:
            validate_after(0)
        for epoch, ids in enumerate(streams, state.epoch + 1):
            started = time.monotonic()
            shares = [range(u * per_update + own.start, u * per_update + own.stop)
                      for u in range(batch.gradient_updates)]  # fmt: skip
            rollout, rewards = _rollout(
                experiment, arm, seed, epoch, ids, [m for share in shares for m in share],
                sampler, schedule, policy, reward, prompts, processes,
            )  # fmt: skip
            policy.release()
            values = _advantages(advantage, ids, rewards, epoch)
            for update in range(batch.gradient_updates):
                images = batch.images_per_iteration // batch.gradient_updates
                if learner.ema is not None:
                    learner.ema.before_update(len(state.logs["updates"]))
                statistics, by_step = _update(
                    experiment, arm, schedule, sampler, learner,
                    rollout[update * len(own) : (update + 1) * len(own)],
                    values[update * images : (update + 1) * images], own,
                    processes, seed=seed, epoch=epoch, update=update + 1,
                )  # fmt: skip
                where = run | {"epoch": epoch, "update": update + 1}
                row = {
                    **where,
                    "reward_mean": float(rewards.mean()),
                    "reward_std": float(rewards.std()),
                    "images": len(ids),
                    **statistics,
                    "ratio_from": arm.log_ratio,
                    "clip_range": experiment.clip_range,
                    "learning_rate": experiment.optimizer.learning_rate,
                    "seconds": time.monotonic() - started,
                }
                started = time.monotonic()
                state.logs["updates"].append(row)
                state.logs["timesteps"] += [where | statistics for statistics in by_step]
                if learner.ema is not None:
                    learner.ema.after_update(len(state.logs["updates"]))
                if processes.is_main:
                    report(row)
            state.epoch, state.advantages = epoch, advantage.state()
            validate_after(epoch)
            due = epoch % experiment.checkpoint_every == 0 or epoch == experiment.epochs
            stopping = processes.any(stop.requested)
            if due:
                save_weights(epoch)
            if due or stopping:
                folder.save_state(state, learner, write=processes.is_main)
            if stopping and epoch < experiment.epochs:
                if processes.is_main:
                    folder.record("stopped", epoch=epoch)
                raise InterruptedError(
                    f"stopped after epoch {epoch}; the next start goes on from there"
                )
    if processes.is_main:
        folder.finish(state.until(experiment.epochs))
    processes.barrier()


def _prompt_streams(experiment: Experiment, count: int, seed: int, done: int) -> list[list[int]]:
    """Prompt ids of every iteration still to come."""
    return [
        iteration_prompts(experiment.batch, count, seed, epoch)
        for epoch in range(done + 1, experiment.epochs + 1)
    ]


def _prepare_prompts(policy: Policy, prompts: list[str], processes: Processes) -> None:
    """Have every prompt of the run encoded, each by one process, and the text encoders closed."""
    distinct = sorted({"", *prompts})
    policy.prepare(distinct[processes.rank :: processes.size])
    processes.barrier()
    policy.release()


def _rollout(
    experiment: Experiment,
    arm: Arm,
    seed: int,
    epoch: int,
    ids: list[int],
    micro_batches: Sequence[int],
    sampler: Sampler,
    schedule: CreditSchedule,
    policy: Policy,
    reward: Reward,
    prompts: Sequence[str],
    processes: Processes,
) -> tuple[list[_MicroBatch], np.ndarray]:
    """Sample and score this process's micro-batches of one iteration.

    Returns them, and the rewards of all images of the iteration in the order of their slots.
    """
    config, size = experiment.sampler, experiment.batch.micro_batch
    storage = DTYPES[config.storage_dtype if arm.storage == "original" else "float32"]
    rollout: list[_MicroBatch] = []
    rewards: list[Tensor] = []
    for index in micro_batches:
        slots = range(index * size, (index + 1) * size)
        texts = [prompts[ids[slot]] for slot in slots]
        conditioning = policy.encode(texts)
        initial_keys: list[tuple[str | int, ...]] = [
            ("initial", seed, epoch, _noise_slot(slot, experiment)) for slot in slots
        ]
        step_keys: list[tuple[str | int, ...]] = [("steps", seed, epoch, slot) for slot in slots]
        initial = gaussian_noise(initial_keys, 1, policy.latent_shape)[:, 0].to(policy.device)
        noise = gaussian_noise(step_keys, len(sampler), policy.latent_shape).to(policy.device)
        predict = policy.conditioned(conditioning, config.guidance_scale)
        trajectory = sample(
            predict,
            sampler,
            initial,
            noise,
            storage=storage,
            keep_log_probs=arm.log_ratio == "sampler",
            reference=policy.as_reference(predict),
            change=schedule.change if schedule.moves_prediction else None,
        )
        scores = reward(policy.decode(trajectory.final), texts).double().cpu()
        if scores.shape != (size,):
            raise ValueError(
                f"reward '{experiment.reward.name}' returned shape {tuple(scores.shape)} "
                f"for {size} images"
            )
        rewards.append(scores)
        # Trajectories wait in host memory: at 50 steps an iteration of SD has gigabytes of them.
        rollout.append(_MicroBatch([ids[s] for s in slots], texts, trajectory.to("cpu")))
    order = processes.gather(torch.tensor(micro_batches)).flatten()
    scores = processes.gather(torch.stack(rewards)).flatten(0, 1)
    return rollout, scores[order.argsort()].flatten().numpy()


def _noise_slot(slot: int, experiment: Experiment) -> int:
    """Which initial noise an image takes: its own, or one of a few (DanceGRPO: one per rank).

    All images of a prompt share theirs. The prompts of an original's rank are spread over its
    updates, so that each update has every rank's noise: prompts take them in turn.
    """
    groups = experiment.sampler.initial_noise_groups
    if groups == 0:
        return slot
    assert experiment.batch.images_per_prompt is not None
    return slot // experiment.batch.images_per_prompt % groups


def _advantages(
    advantage: advantage_kinds.Advantages, ids: list[int], rewards: np.ndarray, epoch: int
) -> Tensor:
    try:
        return torch.from_numpy(advantage(np.asarray(ids), rewards)).float()
    except ValueError as error:
        raise TrainingDiverged(f"epoch {epoch}: {error}") from error


def _trained_steps(
    schedule: CreditSchedule, fraction: float, images: int, rng: np.random.Generator
) -> Tensor:
    """Step indices `(images, S)`: all trained steps in order, or each image's own random share."""
    steps = schedule.trained.nonzero()[:, 0]
    count = int(len(steps) * fraction + 1e-9)
    if count == len(steps):
        return steps.expand(images, -1)
    chosen = [rng.permutation(len(steps))[: max(count, 1)] for _ in range(images)]
    return steps[torch.from_numpy(np.stack(chosen))]


def _update(
    experiment: Experiment,
    arm: Arm,
    schedule: CreditSchedule,
    sampler: Sampler,
    learner: Learner,
    rollout: list[_MicroBatch],
    advantages: Tensor,
    own: range,
    processes: Processes,
    *,
    seed: int,
    epoch: int,
    update: int,
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """One gradient update over whole micro-batches, accumulated over images and timesteps.

    rollout: this process's micro-batches, numbers `own` of the update; advantages: of all its
    images. Nothing is read back from the device before the update is complete. Returns columns of
    UPDATES, and of TIMESTEPS for each sampler step.
    """
    objective, policy = OBJECTIVES[arm.objective], learner.policy
    size = experiment.batch.micro_batch
    guidance = experiment.sampler.guidance_scale
    fraction = arm.timestep_fraction or experiment.timesteps.fraction
    rng = np.random.default_rng(derive_seed("timesteps", seed, epoch, update))
    # Drawn for all images of the update, whoever trains them.
    steps = _trained_steps(schedule, fraction, len(advantages), rng)
    forwards = len(advantages) // size * steps.shape[1]
    # A sharded gradient is averaged over the processes, the others are summed below.
    share = processes.size if policy.sharded else 1
    weights = schedule.weights.float().to(policy.device)
    terms = _Terms()
    for micro, index in zip(rollout, own, strict=True):
        images = slice(index * size, (index + 1) * size)
        advantage = advantages[images].to(policy.device)
        conditioning = policy.encode(micro.texts)
        here, there = steps[images], steps[images].to(policy.device)
        for picked, step in zip(here.unbind(1), there.unbind(1), strict=True):
            t = micro.trajectory.at(picked, policy.device)
            x, timesteps = t.latents, sampler.timesteps[step]
            prediction = policy.predict(x, timesteps, conditioning, guidance)
            if arm.log_ratio == "matching":
                log_ratio = matching_log_ratio(
                    prediction, t.predictions_old, t.noise, weights[step]
                )
            else:
                assert t.next_latents is not None and t.log_probs is not None
                log_ratio = sampler.log_prob(step, x, prediction, t.next_latents) - t.log_probs
            result = objective(log_ratio, advantage, experiment.clip_range)
            loss = result.loss
            divergence = torch.full_like(loss, math.nan)
            if experiment.kl_beta is not None:
                assert isinstance(sampler, FlowSDE)
                with torch.no_grad(), policy.reference():
                    reference = policy.predict(x, timesteps, conditioning, guidance)
                scale = sampler.kl_scale().float()[step]
                divergence = kl(prediction, reference, scale).mean()
                loss = loss + experiment.kl_beta * divergence
            learner.backward(loss * share / forwards)
            terms.add(
                step=step, log_ratio=log_ratio, loss=loss, kl=divergence,
                clip_fraction=result.clip_fraction, gated_fraction=result.gated_fraction,
                sign=advantage.sign(),
            )  # fmt: skip
    gathered = {key: processes.gather(value) for key, value in terms.stacked().items()}
    where, lost = f"epoch {epoch}, update {update}", ~torch.isfinite(gathered["loss"])
    trained = gathered.pop("step")
    if lost.any():
        raise TrainingDiverged(
            f"{where}, sampler steps {trained[lost].unique().tolist()}: the loss is NaN or "
            "infinite; the last checkpoint is kept; lower optimizer.learning_rate"
        )
    gradients = learner.step(processes)
    if not math.isfinite(gradients["grad_norm"]) and not learner.skips_overflows:
        raise TrainingDiverged(f"{where}: the gradient norm is not finite")
    ratios = gathered.pop("log_ratio").double().flatten().numpy()
    signs = gathered.pop("sign").flatten().numpy()
    steps_of_ratios = trained.flatten().numpy()
    quantiles = np.quantile(ratios, np.asarray(QUANTILES) / 100)
    statistics = {
        **{key: float(value.double().mean()) for key, value in gathered.items()},
        "log_ratio_mean": float(ratios.mean()),
        "log_ratio_std": float(ratios.std()),
        "ratio_mean": float(np.exp(ratios).mean()),
        "ratio_std": float(np.exp(ratios).std()),
        **{f"log_ratio_q{q:02d}": float(v) for q, v in zip(QUANTILES, quantiles, strict=True)},
        **gradients,
    }
    by_step = [
        _step_statistics(ratios[rows], signs[rows], experiment.clip_range)
        | {"step": int(step), "timestep": float(sampler.timesteps[step])}
        for step in np.unique(steps_of_ratios)
        for rows in [steps_of_ratios == step]
    ]
    return statistics, by_step


def _step_statistics(
    log_ratios: np.ndarray, signs: np.ndarray, clip_range: float
) -> dict[str, float]:
    """Columns of TIMESTEPS from the log-ratios of a step and the signs of their advantages."""
    return {
        "terms": len(log_ratios),
        "log_ratio_mean": float(log_ratios.mean()),
        "log_ratio_std": float(log_ratios.std()),
        "clip_fraction": float((np.abs(log_ratios) > clip_range).mean()),
        "gated_fraction": float((signs * log_ratios > clip_range).mean()),
    }


class _Terms:
    """Statistics of an update's forwards, left on the device until they are all there."""

    def __init__(self) -> None:
        self.values: dict[str, list[Tensor]] = {}

    def add(self, **values: Tensor) -> None:
        for key, value in values.items():
            self.values.setdefault(key, []).append(value.detach())

    def stacked(self) -> dict[str, Tensor]:
        return {key: torch.stack(values) for key, values in self.values.items()}
