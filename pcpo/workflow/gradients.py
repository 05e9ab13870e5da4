"""Files of the gradients of timesteps: one job measures a run's checkpoints."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from pcpo.config import Experiment
from pcpo.config.gradients import measured_arms
from pcpo.paths import Paths


@dataclass(frozen=True)
class GradientTargets:
    """`experiments` are those of the workflow."""

    experiments: Mapping[str, Experiment]
    seeds: Sequence[int]
    paths: Paths

    def frames(
        self,
        experiments: Iterable[Experiment] | None = None,
        arms: Collection[str] | None = None,
    ) -> list[str]:
        """The frames of these experiments and arms in all their seeds; by default of all."""
        return [
            self.paths.gradients.format(experiment=e.name, arm=arm, seed=seed)
            for e in (self.experiments.values() if experiments is None else experiments)
            for arm in measured_arms(e)
            if arms is None or arm in arms
            for seed in e.training_seeds(self.seeds)
        ]
