"""The training loop: sample, score, advantage, update, log, checkpoint.

One loop serves all three baselines and every arm. The baselines differ by the configuration
(`Run.experiment`). Within a configuration, arms differ by the keys of config/arms.yaml (`Run.arm`);
baseline and PCPO differ in objective, log_ratio, credit and storage. An epoch is one rollout
(rollout.py) and the gradient updates on it (update.py).

Deliberate differences from the originals:
- rollout and update share one forward with one batch shape, and an update repeats the rollout's
  micro-batches as they were sampled; so the on-policy log-ratio of the matching arms is exactly 0;
- every forward of an update has `micro_batch` (image, timestep) pairs, each image at its own step,
  and the same shape as the rollout's; only arms with the sampler's log-ratio may sample in larger
  forwards (`execution.rollout_batch`), as DDPO's original does;
- images are grouped by prompt id, and noise depends on (seed, epoch, index of the image), not on
  the process;
- where the originals shuffle images between updates, the prompts are shuffled before the rollout;
- prompts are drawn again in each iteration, DanceGRPO's without replacement over the run.
Smaller differences are described in the code: advantages.py (equal rewards), policies/base.py
(rounding to uint8, precision of frozen weights).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pcpo import advantages as advantage_kinds
from pcpo.prompts.draws import iteration_prompts
from pcpo.training.clip_range import ClipRange
from pcpo.training.learner import Learner
from pcpo.training.observer import Observer
from pcpo.training.rollout import Rollout, roll_out
from pcpo.training.run import Run
from pcpo.training.run_folder import RunFolder, RunState, StaleState
from pcpo.training.set_aside import commands, set_aside
from pcpo.training.stop_request import StopRequest
from pcpo.training.update import TrainingDiverged, gradient_update
from pcpo.training.validation import validate

Log = Callable[[str], None]


def train(
    run: Run, folder: RunFolder, observers: Sequence[Observer] = (), log: Log = print
) -> None:
    """Train one run to its last epoch, resuming where an earlier process stopped.

    A run that is past that epoch is complete: its outputs then contain the epochs up to it.
    Every process of a run calls this and does its share; the first one writes. Raises
    TrainingDiverged on a NaN; the next call then resumes from the last checkpoint. Raises
    InterruptedError after a SIGTERM, once the epoch's state is saved.
    """
    experiment, processes = run.experiment, run.processes
    training = _Training.begin(run, folder, observers, log)
    state, last = training.state, experiment.epochs
    iterations = {
        epoch: iteration_prompts(experiment.batch, len(run.prompts), run.seed, epoch)
        for epoch in range(state.epoch + 1, last + 1)
    }
    _encode_prompts(run, {i for prompt_ids in iterations.values() for i in prompt_ids})
    if state.epoch == last and last not in state.checkpoints:
        training.save(checkpoint=True)  # where a longer training was stopped
    with StopRequest() as stop:
        if state.epoch == 0:
            training.validate()
            training.show()
        for epoch, prompt_ids in iterations.items():
            training.epoch(epoch, prompt_ids)
            training.validate()
            training.show()
            due = epoch in experiment.saved_epochs
            stopping = processes.any(stop.requested)
            if due or stopping:
                training.save(checkpoint=due)
            if stopping and epoch < last:
                training.record("stopped")
                raise InterruptedError(
                    f"stopped after epoch {epoch}; the next start resumes from there"
                )
    if processes.is_main:
        folder.finish(state.until(last))
    processes.barrier()


def _encode_prompts(run: Run, ids: set[int]) -> None:
    """Encode the prompts of the run, and close the text encoders.

    Each prompt is encoded by one process where they share a folder, and by every process where they
    do not.
    """
    distinct = sorted({"", *(run.prompts[i] for i in ids)})
    if run.policy.embeddings.folder is not None:
        distinct = distinct[run.processes.rank :: run.processes.size]
    run.policy.prepare(distinct)
    run.processes.barrier()
    run.policy.release()


def _saved_state(run: Run, folder: RunFolder, learner: Learner, log: Log) -> RunState | None:
    """The state to resume from, restored into the learner; None if there is no usable one.

    A run of another configuration is set aside.
    """
    try:
        return folder.load_state(learner, run.experiment.epochs, log)
    except StaleState as stale:
        log(f"{stale}; starting over")
        run.processes.barrier()
        if run.processes.is_main and (kept := set_aside(folder.path, str(stale))):
            log(f"the run that was here: {commands(kept)}")
        return None


@dataclass
class _Training:
    """A run under way: all but the run and its folder change from epoch to epoch."""

    run: Run
    folder: RunFolder
    state: RunState
    learner: Learner
    advantages: advantage_kinds.Advantages
    clip_range: ClipRange
    observers: Sequence[Observer]
    log: Log

    @classmethod
    def begin(
        cls, run: Run, folder: RunFolder, observers: Sequence[Observer], log: Log
    ) -> _Training:
        """At the folder's newest state, or at epoch 0."""
        learner = Learner.start(run.experiment, run.policy)
        advantages = advantage_kinds.build(run.experiment.advantage)
        share = run.region.share
        clip_range = ClipRange(
            run.arm.clipping,
            run.experiment.clip_range,
            None if share is None else share.double().cpu(),
        )
        state = _saved_state(run, folder, learner, log)
        if state is None:
            state = RunState(0, {}, {})
        else:
            advantages.restore(state.advantages)
            clip_range.restore(state.clip_range)
            log(f"resuming after epoch {state.epoch}")
        training = cls(run, folder, state, learner, advantages, clip_range, observers, log)
        training.record("started", **folder.origin)
        return training

    def record(self, event: str, **details: Any) -> None:
        """Add a line to the run's history, in one process only."""
        if self.run.processes.is_main:
            self.folder.record(event, epoch=self.state.epoch, **details)

    def epoch(self, epoch: int, prompt_ids: list[int]) -> None:
        """Sample and score one iteration, and train on it."""
        started = time.monotonic()
        rollout = roll_out(self.run, epoch, prompt_ids)
        self.run.policy.release()
        advantages = self._advantages(rollout)
        for number in range(1, self.run.experiment.gradient_updates + 1):
            self._update(rollout, advantages, number, started)
            started = time.monotonic()
        self.clip_range.end_epoch()
        self.state.epoch = epoch
        self.state.advantages = self.advantages.state()
        self.state.clip_range = self.clip_range.state()

    def _advantages(self, rollout: Rollout) -> Tensor:
        """fp32 `(N,)`, of all images of the iteration."""
        try:
            values = self.advantages(np.asarray(rollout.prompt_ids), rollout.rewards)
        except ValueError as error:
            raise TrainingDiverged(f"epoch {rollout.epoch}: {error}") from error
        return torch.from_numpy(values).float()

    def _update(self, rollout: Rollout, advantages: Tensor, number: int, started: float) -> None:
        """Gradient update `number` of an epoch, from 1, and its rows in the logs."""
        experiment, average, logs = self.run.experiment, self.learner.ema, self.state.logs
        if average is not None:
            average.before_update(len(logs["updates"]))
        statistics, by_step = gradient_update(
            self.run, self.learner, self.clip_range, rollout, advantages, number
        )
        where = self.run.columns | {"epoch": rollout.epoch, "update": number}
        row = {
            **where,
            "reward_mean": float(rollout.rewards.mean()),
            "reward_std": float(rollout.rewards.std()),
            "images": len(rollout.prompt_ids),
            **statistics,
            "ratio_from": self.run.arm.log_ratio,
            "clip_range": self.clip_range.clip_range * self.clip_range.upper,
            "learning_rate": experiment.optimizer.learning_rate,
            "seconds": time.monotonic() - started,
        }
        logs["updates"].append(row)
        logs["timesteps"] += [where | statistics for statistics in by_step]
        if average is not None:
            average.after_update(len(logs["updates"]))
        if self.run.processes.is_main:
            for observer in self.observers:
                observer.update(row)

    def validate(self) -> None:
        """Add the validation's row of this epoch, where the experiment has one."""
        epoch, validation = self.state.epoch, self.run.experiment.validation
        if validation is None or epoch % validation.every:
            return
        with self.learner.evaluated():
            row = validate(self.run)
        row = self.run.columns | {"epoch": epoch} | row
        self.state.logs["validation"].append(row)
        if self.run.processes.is_main:
            for observer in self.observers:
                observer.validation(row)
        self.log(
            f"epoch {epoch} validation reward {row['reward_mean']:.5g} on {row['images']} images"
        )

    def show(self) -> None:
        """Let the observers of epochs use the policy with the weights that checkpoints hold."""
        shown = [observer.epoch for observer in self.observers if observer.epoch is not None]
        if shown:
            with self.learner.evaluated():
                for show in shown:
                    show(self.state.epoch)
            self.run.policy.release()

    def save(self, checkpoint: bool) -> None:
        """Save the resume state; with `checkpoint`, save the weights first."""
        state, write = self.state, self.run.processes.is_main
        if checkpoint:
            with self.learner.evaluated():
                self.folder.save_weights(self.run.policy, state.epoch, write=write)
            state.checkpoints = sorted({*state.checkpoints, state.epoch})
        self.folder.save_state(state, self.learner, write=write)
