"""Each experiment as resolved at the scale, its runs, and their training in pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from pcpo.config import Arm, Experiment, load_arm
from pcpo.config.scale_differences import scale_differences
from pcpo.records import provenance
from pcpo.report.costs import Job, Step
from pcpo.report.figures import Drawn, read_pictures
from pcpo.report.files import number, read_rows


@dataclass(frozen=True)
class Run:
    """A training run: its last checkpoint's epoch (0: there is none) and its last start's cost."""

    arm: str
    seed: int
    epoch: int
    job: Job | None


@dataclass(frozen=True)
class Configuration:
    """`settings`: the resolved experiment as YAML; `scale_differences`: from the paper's scale."""

    experiment: Experiment
    arms: dict[str, Arm]
    runs: tuple[Run, ...]
    settings: str
    scale_differences: tuple[str, ...]
    pictures: Drawn | None  # of its training

    @property
    def digest(self) -> str:
        return self.experiment.digest()


def configuration(
    experiment: Experiment, seeds: Sequence[int], root: Path, folder: Path, steps: Sequence[Step]
) -> Configuration:
    """The settings of an experiment, and those of its runs below results/<scale> with `seeds`.

    `folder` is the page's. Raises ValueError with the file's name where a run's checkpoints.csv or
    the pictures of the training cannot be understood.
    """
    jobs = {job.run: job for step in steps for job in step.jobs if job.run is not None}
    runs = []
    for arm in experiment.arms:
        for seed in experiment.training_seeds(seeds):
            manifest = root / "runs" / experiment.name / arm / f"seed{seed}" / "checkpoints.csv"
            job = jobs.get(provenance.Run(experiment.name, arm, seed))
            runs.append(Run(arm, seed, _last_epoch(manifest), job))
    shown = experiment.model_dump(mode="json", exclude={"description"})
    settings = yaml.safe_dump(shown, sort_keys=False, default_flow_style=None, width=90)
    arms = {arm: load_arm(arm) for arm in experiment.arms}
    differences = tuple(scale_differences(experiment.name, experiment.scale))
    pictures = read_pictures(experiment, seeds[0], root, folder)
    return Configuration(experiment, arms, tuple(runs), settings, differences, pictures)


def _last_epoch(manifest: Path) -> int:
    if not manifest.exists():
        return 0
    cells = read_rows(manifest, ["epoch", "folder"])["epoch"]
    epochs = [number(cell, manifest, n, "epoch") for n, cell in enumerate(cells, 1)]
    if any(math.isnan(epoch) for epoch in epochs):
        raise ValueError(f"{manifest}: an epoch is missing; train the run again")
    return int(max(epochs, default=0))
