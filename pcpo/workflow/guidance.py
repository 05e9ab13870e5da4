"""Files of reward guidance: the jobs that sample between models, their images and frames.

Arguments named `wildcards` are Snakemake's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pcpo.config import Experiment
from pcpo.config.reward_guidance import ARM, check_columns, folder_of, guided, seeds_of
from pcpo.paths import Paths


@dataclass(frozen=True)
class GuidanceTargets:
    """`experiments` are those of the workflow; one job is of an experiment and a training seed."""

    experiments: Mapping[str, Experiment]
    seeds: Sequence[int]
    paths: Paths

    @cached_property
    def models(self) -> dict[str, tuple[Experiment, ...]]:
        """Experiment -> those whose aligned models are mixed (`pcpo.config.reward_guidance`)."""
        return guided(self.experiments.values())

    def frames(self, experiments: Iterable[Experiment] | None = None) -> list[str]:
        """The frames of these experiments in all their seeds; by default of all."""
        names = self.models if experiments is None else [e.name for e in experiments]
        return [
            self.paths.reward_guidance.format(experiment=name, seed=seed)
            for name in names
            if name in self.models
            for seed in seeds_of(self.models[name], self.seeds)
        ]

    def rows(self, experiments: Iterable[Experiment], seed: int) -> list[tuple[str, str]]:
        """(point, folder of its images) of each experiment of a figure that has them."""
        own = [e for e in experiments if e.name in self.models]
        check_columns(own)
        images = self.paths.guided_images
        return [
            (point, images.format(experiment=e.name, seed=seed, point=point))
            for e in own
            for point in self._points(e)
        ]

    def indices(self, experiment: str) -> list[str]:
        """Indices of all images of a job, with the wildcard `seed`."""
        of = {"experiment": experiment, "seed": "{seed}"}
        points = self._points(self.experiments[experiment])
        return [self.paths.guided_index.format(point=point, **of) for point in points]

    def images(self, experiment: str, seed: Any) -> str:
        """The folder of the folders of a job's images."""
        whole = self.paths.guided_images.format(experiment=experiment, seed=seed, point="")
        return whole.rstrip("/")

    def manifests(self, experiment: str, seed: Any) -> list[str]:
        return [self._run(self.paths.manifest, e, seed) for e in self.models[experiment]]

    def run_options(self, experiment: str, seed: Any) -> list[str]:
        """`--run FOLDER` of each aligned model."""
        runs = [self._run(self.paths.run, e, seed) for e in self.models[experiment]]
        return [word for run in runs for word in ("--run", run)]

    def identity(self, experiment: str) -> list[dict[str, Any]]:
        """What a job's images and numbers depend on in the configurations."""
        sections = ("reward_guidance", "sampler", "precision", "reward", "epochs")
        return [e.identity(*sections) for e in self.models[experiment]]

    def rewards(self, experiment: str) -> list[str]:
        return [e.reward.name for e in self.models[experiment]]

    def _run(self, place: str, experiment: Experiment, seed: Any) -> str:
        return place.format(experiment=experiment.name, arm=ARM, seed=seed)

    def _points(self, experiment: Experiment) -> list[str]:
        guidance = experiment.reward_guidance
        return [folder_of(strengths) for strengths in guidance.points] if guidance else []
