"""What is the same in every epoch of a training run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pcpo.config import Arm, Experiment
from pcpo.credit import CreditSchedule, arm_sampler
from pcpo.policies.base import Policy
from pcpo.samplers import Sampler
from pcpo.training.processes import Processes
from pcpo.trust_region import TrustRegion, trust_region

# (images uint8 (B, 3, H, W) on the CPU, their B prompts) -> rewards (B,)
Reward = Callable[[Tensor, Sequence[str]], Tensor]


@dataclass(frozen=True, eq=False)
class Run:
    """A policy, what it is trained on, and how.

    policy: loaded with `train`. prompts: of the experiment's prompt set, in its order.
    validation_prompts: of the experiment's validation, if it has one.
    processes: those that share the run; their records are equal except for the rank.

    Made from these, for T sampler steps: sampler, with the sigmas of the arm's credit schedule;
    schedule, the arm's credit schedule, float64 on the CPU; region, its trust region, and native
    `(T,)`, the weights of the sampler's own log-ratio, both in fp32. All but the schedule are on
    the policy's device.

    Raises ValueError for a validation without prompts and for an arm that the sampler does not
    support.
    """

    experiment: Experiment
    arm: Arm
    seed: int
    policy: Policy
    reward: Reward
    prompts: Sequence[str]
    validation_prompts: Sequence[str] = ()
    processes: Processes = field(default_factory=Processes)
    sampler: Sampler = field(init=False)
    schedule: CreditSchedule = field(init=False)
    region: TrustRegion = field(init=False)
    native: Tensor = field(init=False)

    def __post_init__(self) -> None:
        if self.experiment.validation is not None and not self.validation_prompts:
            raise ValueError(
                f"{self.experiment.name}: validation.prompts: the run was given none of them"
            )
        sampler, schedule = arm_sampler(self.experiment, self.arm, self.policy.scheduler_config)
        region = trust_region(self.arm.trust_region, sampler, schedule, self.arm.over)
        device, native = self.policy.device, sampler.weights * schedule.change
        object.__setattr__(self, "sampler", sampler.to(device))
        object.__setattr__(self, "schedule", schedule)
        object.__setattr__(self, "region", region.to(device, torch.float32))
        object.__setattr__(self, "native", native.float().to(device))

    def trained(self, epoch: int) -> Tensor:
        """Which steps an epoch trains, from 1: bool `(T,)`, on the CPU."""
        window = self.arm.window
        if window is None:
            return self.schedule.trained
        steps = self.schedule.trained.nonzero()[:, 0]
        first = (epoch - 1) // window.every % (len(steps) - window.steps + 1)
        inside = torch.zeros_like(self.schedule.trained)
        inside[steps[first : first + window.steps]] = True
        return inside

    def sampler_of(self, epoch: int) -> Sampler:
        """The sampler of an epoch's rollout: outside of the arm's window, steps have no noise."""
        if self.arm.window is None:
            return self.sampler
        inside = self.trained(epoch).to(self.sampler.sigma.device)
        return self.sampler.with_sigma(self.sampler.sigma * inside)

    @property
    def columns(self) -> dict[str, Any]:
        """The columns that name the run in each of its frames."""
        return {"experiment": self.experiment.name, "arm": self.arm.name, "seed": self.seed}

    @property
    def own_micro_batches(self) -> range:
        """Which micro-batches of each update this process samples and trains."""
        return self.processes.share(self.experiment.micro_batches)
