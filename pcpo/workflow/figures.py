"""Which figures a workflow draws, and from which frames and images."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from itertools import product

from pcpo.figures.registry import FIGURES, OF_PEOPLE, PICTURED, FigureInput
from pcpo.paths import (
    CAPTION_SUFFIXES,
    FIGURE_SUFFIXES,
    GRADIENT_FRAMES,
    GUIDED_FRAMES,
    PACKAGE,
    SINGLE_FRAMES,
    STUDY_FRAMES,
)
from pcpo.workflow.frames import FrameTargets


class FigureTargets(FrameTargets):
    """Figures of numbers are over all training seeds; grids of images show the first."""

    @cached_property
    def figures(self) -> dict[str, FigureInput]:
        """The figures whose experiments are all chosen, and have what these show; that of people
        once they have answered."""
        return {
            name: spec
            for name, spec in FIGURES.items()
            if self._has(spec.experiments)
            and not spec.lacks(self.experiments.values())
            and (name not in OF_PEOPLE or self.answered)
        }

    def figure_files(
        self,
        figures: Iterable[str],
        suffixes: Sequence[str] = (*FIGURE_SUFFIXES, *CAPTION_SUFFIXES),
    ) -> list[str]:
        place = self.paths.figure_file
        return [place.format(figure=f, suffix=s) for f, s in product(figures, suffixes)]

    def figure_inputs(self, spec: FigureInput) -> dict[str, list[str]]:
        """Files of each frame that a figure is drawn from, by its name; its images' indices."""
        inputs = {frame: self._figure_frame(frame, spec) for frame in frames_of(spec.kind)}
        if spec.kind == "sample_grid":
            # The caption says of which checkpoints the images are.
            inputs["selection"] = self._figure_frame("selection", spec)
        if spec.kind in PICTURED:
            inputs["images"] = [f"{folder}/index.csv" for _, folder in self._grid(spec)]
        return inputs

    def figure_options(self, figure: str, spec: FigureInput) -> list[str | int]:
        """Which experiments, arms and rows of images a figure's command draws."""
        options: list[str | int] = ["--figure", figure, "--experiments", *spec.experiments]
        if spec.kind in PICTURED:
            options += [w for row in self._grid_rows(spec) for w in ("--row", row)]
        if spec.kind == "sample_grid":
            return options
        return [*options, "--arms", *spec.arms, *spec.also]  # captions name missing ones

    def _figure_frame(self, frame: str, spec: FigureInput) -> list[str]:
        """Files of a frame for a figure; for frames of runs, of every training seed."""
        chosen = self._chosen(spec.experiments)
        if frame in (*SINGLE_FRAMES, *STUDY_FRAMES):
            return [getattr(self.paths, frame)]
        if frame in GUIDED_FRAMES:
            return self.guidance.frames(chosen)
        if frame in GRADIENT_FRAMES:
            return self.gradients.frames(chosen, self._figure_arms(spec))
        if frame == "selection":  # images are of one training seed
            return self.measured_frames(frame, chosen, self._first_seed)
        if frame == "per_prompt":
            return self.measured_frames(frame, chosen)
        arms = self._figure_arms(spec)
        return self.run_frames(frame, chosen, lambda e: [a for a in arms if a in e.arms])

    def _figure_arms(self, spec: FigureInput) -> list[str]:
        """The arms that a figure always shows, and others that the scale trains."""
        there = {arm for e in self._chosen(spec.experiments) for arm in e.arms}
        return [*spec.arms, *(arm for arm in spec.also if arm in there)]

    # --- grids of images -------------------------------------------------------------------------

    @cached_property
    def _grids(self) -> dict[str, FigureInput]:
        return {name: s for name, s in self.figures.items() if s.kind in PICTURED}

    def grid_options(self) -> list[str]:
        """The command line's `--grid FIGURE ARM=FOLDER ...` for the figures that show images."""
        return [
            word
            for figure, spec in self._grids.items()
            for word in ("--grid", figure, *self._grid_rows(spec))
        ]

    def grid_images(self) -> list[str]:
        """Indices of the images that the figures show."""
        grids = self._grids.values()
        return sorted({f"{folder}/index.csv" for spec in grids for _, folder in self._grid(spec)})

    def _grid(self, spec: FigureInput) -> list[tuple[str, str]]:
        """Rows of a figure's images, for each experiment: (arm or strengths, folder of images)."""
        images, (seed,) = self.paths.images, self._first_seed
        if spec.kind != "sample_grid":
            return self.guidance.rows(self._chosen(spec.experiments), seed)
        return [
            row
            for e in self._chosen(spec.experiments)
            for row in [
                ("base", self.paths.base_images.format(base=e.base_images)),
                *(
                    (arm, images.format(experiment=e.name, arm=arm, seed=seed))
                    for arm in self._figure_arms(spec)
                ),
            ]
        ]

    def _grid_rows(self, spec: FigureInput) -> list[str]:
        return [f"{arm}={folder}" for arm, folder in self._grid(spec)]


@cache
def frames_of(kind: str) -> tuple[str, ...]:
    """Names of the frames that a kind of figure draws, as its `@style.draws(...)` has them.

    They are read from the source, because importing it would load matplotlib at every start of
    Snakemake. Raises ValueError where the module does not declare them.
    """
    source = PACKAGE / "figures" / f"{kind}.py"
    declared = re.search(r"^@style\.draws\(([^)]*)\)", source.read_text(encoding="utf-8"), re.M)
    if declared is None:
        raise ValueError(f"{source}: a kind of figure needs a function under @style.draws(...)")
    names = (name.lower() for name in re.findall(r"\bframes\.(\w+)", declared[1]))
    return tuple(name.removeprefix("metrics_") for name in names)  # as in `frames.BY_NAME`
