"""What is the same in every epoch of a training run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from pcpo.config import Arm, Experiment
from pcpo.credit import CreditSchedule, arm_sampler
from pcpo.policies.base import Policy
from pcpo.samplers import Sampler
from pcpo.training.processes import Processes

# (images uint8 (B, 3, H, W) on the CPU, their B prompts) -> rewards (B,)
Reward = Callable[[Tensor, Sequence[str]], Tensor]


@dataclass(frozen=True, eq=False)
class Run:
    """A policy, what it is trained on, and how.

    policy: loaded with `train`. prompts: of the experiment's prompt set, in its order.
    validation_prompts: of the experiment's validation, if it has one.
    processes: those that share the run; their records are equal except for the rank.

    Made from these, for T sampler steps: sampler, with the sigmas of the arm's credit schedule;
    schedule, the arm's credit schedule, float64 on the CPU; weights `(T,)`, its weights in fp32.
    The sampler and the weights are on the policy's device.

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
    weights: Tensor = field(init=False)

    def __post_init__(self) -> None:
        if self.experiment.validation is not None and not self.validation_prompts:
            raise ValueError(
                f"{self.experiment.name}: validation.prompts: the run was given none of them"
            )
        sampler, schedule = arm_sampler(self.experiment, self.arm, self.policy.scheduler_config)
        object.__setattr__(self, "sampler", sampler.to(self.policy.device))
        object.__setattr__(self, "schedule", schedule)
        object.__setattr__(self, "weights", schedule.weights.float().to(self.policy.device))

    @property
    def columns(self) -> dict[str, Any]:
        """The columns that name the run in each of its frames."""
        return {"experiment": self.experiment.name, "arm": self.arm.name, "seed": self.seed}

    @property
    def own_micro_batches(self) -> range:
        """Which micro-batches of each update this process samples and trains."""
        return self.processes.share(self.experiment.micro_batches)
