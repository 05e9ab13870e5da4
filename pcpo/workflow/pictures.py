"""Training in pictures: which experiments have a figure of their runs' preview images.

Arguments named `wildcards` are Snakemake's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pcpo.config import Experiment
from pcpo.paths import PICTURE_SUFFIXES
from pcpo.records.strip_files import strip_files
from pcpo.workflow.choice import Choice


class PictureTargets(Choice):
    """A figure shows all runs of an experiment in the first training seed."""

    def pictured(self) -> list[Experiment]:
        """The experiments whose runs draw previews, or have some: an archive's have no others."""
        draws = self.scale.previews is not None and not self.paths.home
        return [e for e in self.experiments.values() if draws or self._has_strips(e)]

    def picture_files(self) -> list[str]:
        """The figures of previews, with their captions."""
        (seed,), place = self._first_seed, self.paths.picture_file
        return [
            place.format(experiment=e.name, seed=seed, suffix=suffix)
            for e in self.pictured()
            for suffix in PICTURE_SUFFIXES
        ]

    def picture_options(self, wildcards: Any) -> list[str]:
        """`--arm ARM FOLDER` of all runs of an experiment and a training seed."""
        arms = self.of(wildcards).arms
        return [w for a in arms for w in ("--arm", a, self.paths.run.format(arm=a, **wildcards))]

    def _has_strips(self, experiment: Experiment) -> bool:
        (seed,), place, name = self._first_seed, self.paths.run, experiment.name
        runs = [place.format(experiment=name, arm=arm, seed=seed) for arm in experiment.arms]
        return any(strip_files(Path(run)) for run in runs)
