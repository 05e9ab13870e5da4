"""Files of the frames: of training runs, of experiments, and of the whole workflow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from pcpo.config import Experiment
from pcpo.paths import (
    EXPERIMENT_FRAMES,
    GRADIENT_FRAMES,
    GUIDED_FRAMES,
    RUN_FRAMES,
    SINGLE_FRAMES,
    STUDY_FRAMES,
)
from pcpo.workflow.choice import Choice
from pcpo.workflow.gradients import GradientTargets
from pcpo.workflow.guidance import GuidanceTargets

Arms = Callable[[Experiment], Iterable[str]]


def trained(experiment: Experiment) -> Sequence[str]:
    """All arms of an experiment."""
    return experiment.arms


class FrameTargets(Choice):
    """Frames are of all training seeds that an experiment has, where no others are named."""

    @cached_property
    def guidance(self) -> GuidanceTargets:
        """Files of the samples between base models and aligned ones."""
        return GuidanceTargets(self.experiments, self.seeds, self.paths)

    @cached_property
    def gradients(self) -> GradientTargets:
        """Files of the gradients of timesteps."""
        return GradientTargets(self.experiments, self.seeds, self.paths)

    def run_frames(
        self,
        frame: str,
        experiments: Iterable[Experiment] | None = None,
        arms: Arms = trained,
        seeds: Sequence[int] | None = None,
    ) -> list[str]:
        """Files of a frame that every training run writes; by default for all runs."""
        place = getattr(self.paths, frame)
        return [
            place.format(experiment=e.name, arm=arm, seed=seed)
            for e in (self.experiments.values() if experiments is None else experiments)
            for arm in arms(e)
            for seed in e.training_seeds(self.seeds if seeds is None else seeds)
        ]

    def measured_frames(
        self,
        frame: str,
        experiments: Iterable[Experiment] | None = None,
        seeds: Sequence[int] | None = None,
    ) -> list[str]:
        """Files of a frame of measurements, one per experiment; by default for all of them."""
        place = getattr(self.paths, frame)
        return [
            place.format(experiment=e.name, seed=seed)
            for e in (self.experiments.values() if experiments is None else experiments)
            if e.has(frame)
            for seed in e.training_seeds(self.seeds if seeds is None else seeds)
        ]

    def experiment_files(self, experiment: Experiment) -> list[str]:
        """All files of an experiment: its arms, their selection, and their measurements."""
        measured = [
            file
            for frame in EXPERIMENT_FRAMES
            for file in self.measured_frames(frame, [experiment])
        ]
        return self.run_frames("manifest", [experiment]) + measured

    def all_frames(self) -> dict[str, list[str]]:
        """Files of every frame, by its name: the evidence for the claims."""
        return (
            {frame: self.run_frames(frame) for frame in RUN_FRAMES}
            | {frame: self.measured_frames(frame) for frame in EXPERIMENT_FRAMES}
            | {frame: [getattr(self.paths, frame)] for frame in SINGLE_FRAMES}
            | {f: [getattr(self.paths, f)] if self.answered else [] for f in STUDY_FRAMES}
            | dict.fromkeys(GUIDED_FRAMES, self.guidance.frames())
            | dict.fromkeys(GRADIENT_FRAMES, self.gradients.frames())
        )

    def compared_at(self, numbers: Iterable[int]) -> list[str]:
        """Reward levels and published epochs, which no frame has: a change redraws the table."""
        return [e.digest("evaluation", "alignment_checkpoint") for e in self._chosen(numbers)]


def frame_options(inputs: Mapping[str, Any]) -> list[str]:
    """The command line's `--<frame> FILE ...` for the inputs of a job that are frames."""
    return [
        word
        for frame in (
            *RUN_FRAMES,
            *EXPERIMENT_FRAMES,
            *SINGLE_FRAMES,
            *GUIDED_FRAMES,
            *GRADIENT_FRAMES,
            *STUDY_FRAMES,
        )
        if (files := inputs.get(frame)) is not None
        for word in (f"--{frame.replace('_', '-')}", *files)
    ]
