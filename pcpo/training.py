"""The training loop: sample, score, advantage, update, log, checkpoint.

One loop serves all three baselines and every arm. Baseline and PCPO differ in two values that are
made before the loop starts: a credit schedule and an objective (`Arm`).

Departures from the originals, on purpose:
- rollout and update share one forward with one batch shape, and an update replays the rollout's
  micro-batches as they were sampled; so the on-policy log-ratio of the matching arms is exactly 0;
- images are grouped by prompt id, and noise depends on (seed, epoch, slot), not on the process;
- where the originals shuffle images between updates, the prompts are shuffled before the rollout.
"""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from pcpo import advantages as advantage_kinds
from pcpo import samplers
from pcpo.checkpoints import RunFolder, RunState, StaleState
from pcpo.config import Arm, Experiment
from pcpo.credit import CreditSchedule, credit_schedule
from pcpo.objectives import OBJECTIVES, kl, matching_log_ratio
from pcpo.policies.base import Conditioning, Policy
from pcpo.prompts import derive_seed, iteration_prompts
from pcpo.samplers import Sampler
from pcpo.samplers.flow_sde import FlowSDE
from pcpo.trajectory import DTYPES, Trajectory, gaussian_noise, sample

Reward = Callable[[Tensor, Sequence[str]], Tensor]
Report = Callable[[dict[str, Any]], None]
QUANTILES = (1, 5, 25, 50, 75, 95, 99)


class TrainingDiverged(ValueError):
    """A loss, reward or gradient is NaN; checkpoints written before it are kept."""


@dataclass(frozen=True)
class _MicroBatch:
    prompt_ids: list[int]
    conditioning: Conditioning
    trajectory: Trajectory


def build_sampler(
    experiment: Experiment, arm: Arm, policy: Policy
) -> tuple[Sampler, CreditSchedule]:
    """The arm's credit schedule, and the sampler under the sigmas that it asks for."""
    native = samplers.build(experiment.sampler, policy.scheduler_config)
    schedule = credit_schedule(arm.credit, native, experiment.timesteps.skip_last)
    return native.with_sigma(schedule.sigmas), schedule


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
) -> None:
    """Train one run to its last epoch, going on from where an earlier process stopped.

    Calls `report` with a row of `frames.UPDATES` after each gradient update. Raises
    TrainingDiverged on a NaN, after which the next call goes on from the last checkpoint.
    """
    batch, config = experiment.batch, experiment.optimizer
    sampler, schedule = build_sampler(experiment, arm, policy)
    advantage = advantage_kinds.build(experiment.advantage)
    optimizer = torch.optim.AdamW(
        list(policy.trainable().values()),
        lr=config.learning_rate,
        betas=config.betas,
        weight_decay=config.weight_decay,
        eps=config.epsilon,
    )
    try:
        state = folder.load_state(policy, optimizer, checkpoint_epochs(experiment))
    except StaleState as stale:
        log(f"{stale}; starting over")
        folder.clear()
        state = None
    if state is None:
        state = RunState(0, [], {})
    else:
        advantage.restore(state.advantages)
        log(f"going on after epoch {state.epoch}")
    micro_per_update = batch.images_per_iteration // batch.gradient_updates // batch.micro_batch

    with _StopRequest() as stop:
        for epoch in range(state.epoch + 1, experiment.epochs + 1):
            started = time.monotonic()
            ids = iteration_prompts(
                batch, len(prompts), seed, epoch, shuffle=experiment.algorithm == "flow_grpo"
            )
            rollout, rewards = _rollout(
                experiment, arm, seed, epoch, ids, sampler, policy, reward, prompts
            )
            values = _advantages(advantage, ids, rewards, epoch)
            for update in range(batch.gradient_updates):
                chosen = slice(update * micro_per_update, (update + 1) * micro_per_update)
                images = slice(chosen.start * batch.micro_batch, chosen.stop * batch.micro_batch)
                statistics = _update(
                    experiment, arm, schedule, sampler, policy, optimizer,
                    rollout[chosen], values[images], seed=seed, epoch=epoch, update=update + 1,
                )  # fmt: skip
                row = {
                    "experiment": experiment.name,
                    "arm": arm.name,
                    "seed": seed,
                    "epoch": epoch,
                    "update": update + 1,
                    "reward_mean": float(rewards.mean()),
                    "reward_std": float(rewards.std()),
                    "images": len(ids),
                    **statistics,
                    "clip_range": experiment.clip_range,
                    "learning_rate": config.learning_rate,
                    "seconds": time.monotonic() - started,
                }
                started = time.monotonic()
                state.updates.append(row)
                report(row)
            state.epoch, state.advantages = epoch, advantage.state()
            due = epoch % experiment.checkpoint_every == 0 or epoch == experiment.epochs
            if due:
                folder.save_weights(policy, epoch)
            if due or stop.requested:
                folder.save_state(state, policy, optimizer)
            if stop.requested and epoch < experiment.epochs:
                raise InterruptedError(
                    f"stopped after epoch {epoch}; the next start goes on from there"
                )
    folder.finish(checkpoint_epochs(experiment), state.updates)


def checkpoint_epochs(experiment: Experiment) -> list[int]:
    """Epochs at which a run leaves a checkpoint; the last epoch always does."""
    every, last = experiment.checkpoint_every, experiment.epochs
    return sorted({*range(every, last + 1, every), last})


def _rollout(
    experiment: Experiment,
    arm: Arm,
    seed: int,
    epoch: int,
    ids: list[int],
    sampler: Sampler,
    policy: Policy,
    reward: Reward,
    prompts: Sequence[str],
) -> tuple[list[_MicroBatch], np.ndarray]:
    """Sample and score the images of one iteration, in slots of `micro_batch` images."""
    config, size = experiment.sampler, experiment.batch.micro_batch
    storage = DTYPES[config.storage_dtype if arm.storage == "original" else "float32"]
    rollout: list[_MicroBatch] = []
    rewards: list[Tensor] = []
    for start in range(0, len(ids), size):
        slots = range(start, start + size)
        texts = [prompts[ids[slot]] for slot in slots]
        conditioning = policy.encode(texts)
        initial_keys: list[tuple[str | int, ...]] = [
            ("initial", seed, epoch, _noise_slot(slot, len(ids), config.initial_noise_groups))
            for slot in slots
        ]
        step_keys: list[tuple[str | int, ...]] = [("steps", seed, epoch, slot) for slot in slots]
        initial = gaussian_noise(initial_keys, 1, policy.latent_shape)[:, 0].to(policy.device)
        noise = gaussian_noise(step_keys, len(sampler), policy.latent_shape).to(policy.device)
        trajectory = sample(
            policy.conditioned(conditioning, config.guidance_scale),
            sampler,
            initial,
            noise,
            storage=storage,
            keep_log_probs=arm.log_ratio == "sampler",
        )
        scores = reward(policy.decode(trajectory.final), texts).double().cpu()
        if scores.shape != (size,):
            raise ValueError(
                f"reward '{experiment.reward.name}' returned shape {tuple(scores.shape)} "
                f"for {size} images"
            )
        rewards.append(scores)
        rollout.append(_MicroBatch([ids[slot] for slot in slots], conditioning, trajectory))
    return rollout, torch.cat(rewards).numpy()


def _noise_slot(slot: int, images: int, groups: int) -> int:
    """Which initial noise an image takes: its own, or its group's (DanceGRPO: one per rank)."""
    return slot if groups == 0 else slot * groups // images


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
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    rollout: list[_MicroBatch],
    advantages: Tensor,
    *,
    seed: int,
    epoch: int,
    update: int,
) -> dict[str, float]:
    """One gradient update over whole micro-batches, accumulated over images and timesteps."""
    objective = OBJECTIVES[arm.objective]
    size = experiment.batch.micro_batch
    guidance = experiment.sampler.guidance_scale
    fraction = arm.timestep_fraction or experiment.timesteps.fraction
    rng = np.random.default_rng(derive_seed("timesteps", seed, epoch, update))
    parameters = list(policy.trainable().values())
    weights = schedule.weights.float().to(policy.device)
    losses, log_ratios, clipped, gated, divergences = [], [], [], [], []
    for index, micro in enumerate(rollout):
        own = advantages[index * size : (index + 1) * size].to(policy.device)
        steps = _trained_steps(schedule, fraction, size, rng).to(policy.device)
        rows = torch.arange(size, device=policy.device)
        t = micro.trajectory
        for step in steps.unbind(1):
            x = t.latents[rows, step]
            timesteps = sampler.timesteps.to(policy.device)[step]
            prediction = policy.predict(x, timesteps, micro.conditioning, guidance)
            if arm.log_ratio == "matching":
                old, z = t.predictions_old[rows, step], t.noise[rows, step]
                log_ratio = matching_log_ratio(prediction, old, z, weights[step])
            else:
                assert t.next_latents is not None and t.log_probs is not None
                new = sampler.log_prob(step, x, prediction, t.next_latents[rows, step])
                log_ratio = new - t.log_probs[rows, step]
            result = objective(log_ratio, own, experiment.clip_range)
            loss = result.loss
            if experiment.kl_beta is not None:
                assert isinstance(sampler, FlowSDE)
                with torch.no_grad(), policy.reference():
                    reference = policy.predict(x, timesteps, micro.conditioning, guidance)
                scale = sampler.kl_scale().float().to(policy.device)[step]
                divergence = kl(prediction, reference, scale).mean()
                loss = loss + experiment.kl_beta * divergence
                divergences.append(divergence.item())
            if not torch.isfinite(loss):
                raise TrainingDiverged(
                    f"epoch {epoch}, update {update}, sampler steps {step.unique().tolist()}: the "
                    "loss is NaN or infinite; the last checkpoint is kept; lower "
                    "optimizer.learning_rate"
                )
            (loss / (len(rollout) * steps.shape[1])).backward()
            losses.append(loss.item())
            log_ratios.append(log_ratio.detach().double().cpu())
            clipped.append(result.clip_fraction.item())
            gated.append(result.effective_clip_fraction.item())
    norm = torch.nn.utils.clip_grad_norm_(parameters, experiment.optimizer.max_grad_norm)
    if not torch.isfinite(norm):
        raise TrainingDiverged(f"epoch {epoch}, update {update}: the gradient norm is not finite")
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    ratios = torch.cat(log_ratios).numpy()
    quantiles = np.quantile(ratios, np.asarray(QUANTILES) / 100)
    return {
        "loss": float(np.mean(losses)),
        "clip_fraction": float(np.mean(clipped)),
        "effective_clip_fraction": float(np.mean(gated)),
        "log_ratio_mean": float(ratios.mean()),
        "log_ratio_std": float(ratios.std()),
        "ratio_mean": float(np.exp(ratios).mean()),
        "ratio_std": float(np.exp(ratios).std()),
        **{f"log_ratio_q{q:02d}": float(v) for q, v in zip(QUANTILES, quantiles, strict=True)},
        "grad_norm": float(norm),
        "kl": float(np.mean(divergences)) if divergences else math.nan,
    }


class _StopRequest:
    """SIGTERM asks for a stop after the current epoch: a cluster's warning before the kill."""

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> Self:
        with contextlib.suppress(ValueError):  # outside the main thread no signal arrives
            self._before = signal.signal(signal.SIGTERM, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "_before"):
            signal.signal(signal.SIGTERM, self._before)

    def _request(self, *_: object) -> None:
        self.requested = True
