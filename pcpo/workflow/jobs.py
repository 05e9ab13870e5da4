"""Inputs and command lines of the jobs that select, sample and measure.

Arguments named `wildcards` are Snakemake's. Words of a command line are lists, so that
`{params.x:q}` quotes each of them.
"""

from __future__ import annotations

from typing import Any

from pcpo.compared import COMPARED
from pcpo.workflow.choice import Choice


class JobTargets(Choice):
    """A job is of one experiment and one training seed."""

    def run_files(self, wildcards: Any) -> list[str]:
        """Manifest and rewards of each run of which a checkpoint is selected."""
        return [
            place.format(arm=arm, **wildcards)
            for arm in self.of(wildcards).measured
            for place in (self.paths.manifest, self.paths.updates)
        ]

    def run_options(self, wildcards: Any) -> list[str]:
        """`--run FOLDER` of each arm of which a checkpoint is selected."""
        arms = self.of(wildcards).measured
        return [w for a in arms for w in ("--run", self.paths.run.format(arm=a, **wildcards))]

    def image_indices(self, wildcards: Any) -> list[str]:
        """Indices of the images that are measured, the base model's first."""
        experiment = self.of(wildcards)
        return [self.paths.base_index.format(base=experiment.base_images)] + [
            self.paths.image_index.format(arm=arm, **wildcards) for arm in experiment.measured
        ]

    def image_options(self, wildcards: Any) -> list[str]:
        """`--arm ARM FOLDER` of the images that are measured."""
        arms = self.of(wildcards).measured
        return [w for a in arms for w in ("--arm", a, self.paths.images.format(arm=a, **wildcards))]

    @property
    def base_indices(self) -> list[str]:
        """Indices of all images of base models."""
        return [self.paths.base_index.format(base=base) for base in self.base_images]

    @property
    def base_options(self) -> list[str]:
        """`--base EXPERIMENT FOLDER` of each experiment."""
        return [
            word
            for e in self.experiments.values()
            if e.measured
            for word in ("--base", e.name, self.paths.base_images.format(base=e.base_images))
        ]

    def compared_manifests(self, wildcards: Any) -> list[str]:
        return [self.paths.manifest.format(arm=arm, **wildcards) for arm in COMPARED]

    def compared_options(self, wildcards: Any) -> list[str]:
        """`--arm ARM FOLDER` of the runs that are compared."""
        return [
            w for a in COMPARED for w in ("--arm", a, self.paths.run.format(arm=a, **wildcards))
        ]
