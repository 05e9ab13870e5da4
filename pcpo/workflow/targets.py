"""Which tables, figures and frames a workflow makes, and from which files each of them is made.

All of it depends only on the scale, the chosen experiments and training seeds, and the paths.
Arguments named `wildcards` are Snakemake's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from pathlib import Path
from typing import Any

from pcpo.config import Experiment, Scale
from pcpo.config.scale_differences import scale_differences
from pcpo.paths import (
    CAPTION_SUFFIXES,
    EXPERIMENT_FRAMES,
    FIGURE_SUFFIXES,
    FIGURES,
    GRADIENT_FRAMES,
    GUIDED_FRAMES,
    OF_PEOPLE,
    PACKAGE,
    PICTURED,
    RUN_FRAMES,
    SINGLE_FRAMES,
    STUDY_FRAMES,
    TABLE_SUFFIXES,
    FigureInput,
    Paths,
)
from pcpo.tables import TABLES
from pcpo.workflow.gradients import GradientTargets
from pcpo.workflow.guidance import GuidanceTargets

COMPARED = ("baseline", "pcpo")  # the arms of the paper's tables

Arms = Callable[[Experiment], Iterable[str]]


def trained(experiment: Experiment) -> Sequence[str]:
    """All arms of an experiment."""
    return experiment.arms


@dataclass(frozen=True)
class Targets:
    """The files of a workflow; `experiments` are those chosen, by name.

    Tables are over all training seeds that an experiment has; grids of images show the first.
    """

    scale: Scale
    experiments: Mapping[str, Experiment]
    seeds: Sequence[int]
    paths: Paths

    @cached_property
    def _numbered(self) -> dict[int, Experiment]:
        return {experiment.number: experiment for experiment in self.experiments.values()}

    @property
    def _first_seed(self) -> Sequence[int]:
        return self.seeds[:1]

    @cached_property
    def base_images(self) -> dict[str, Experiment]:
        """Folder of base-model images -> the first of the experiments that share it."""
        return {e.base_images: e for e in reversed([*self.experiments.values()])}

    def of(self, wildcards: Any) -> Experiment:
        """The experiment of a job: its own, or one that shares its base-model images."""
        if name := wildcards.get("experiment"):
            return self.experiments[name]
        return self.base_images[wildcards.base]

    @cached_property
    def guidance(self) -> GuidanceTargets:
        """Files of the samples between base models and aligned ones."""
        return GuidanceTargets(self.experiments, self.seeds, self.paths)

    @cached_property
    def gradients(self) -> GradientTargets:
        """Files of the gradients of timesteps."""
        return GradientTargets(self.experiments, self.seeds, self.paths)

    # --- tables, figures and runs ----------------------------------------------------------

    @cached_property
    def tables(self) -> list[str]:
        """The tables whose experiments are all chosen."""
        return [name for name, table in TABLES.items() if self._has(table.experiments)]

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

    @property
    def studied(self) -> tuple[int, ...]:
        """Numbers of the configurations whose images people compare."""
        return FIGURES[OF_PEOPLE[0]].experiments

    @cached_property
    def answered(self) -> bool:
        """Whether people have answered in the preference study."""
        return self.paths.answered()

    @cached_property
    def in_parts(self) -> dict[str, list[str]]:
        """Name of each table or figure that has parts -> the files of all parts."""
        tables, figures = _parts(TABLES), _parts(FIGURES)
        return {
            **{n: self.table_files(p) for n, p in tables.items() if {*p} <= {*self.tables}},
            **{n: self.figure_files(p) for n, p in figures.items() if {*p} <= {*self.figures}},
        }

    def _has(self, numbers: Iterable[int]) -> bool:
        return {*numbers} <= {*self._numbered}

    def table_files(
        self, tables: Iterable[str], suffixes: Sequence[str] = TABLE_SUFFIXES
    ) -> list[str]:
        place = self.paths.table_file
        return [place.format(table=t, suffix=s) for t, s in product(tables, suffixes)]

    def figure_files(
        self,
        figures: Iterable[str],
        suffixes: Sequence[str] = (*FIGURE_SUFFIXES, *CAPTION_SUFFIXES),
    ) -> list[str]:
        place = self.paths.figure_file
        return [place.format(figure=f, suffix=s) for f, s in product(figures, suffixes)]

    @property
    def synthetic_report(self) -> list[str]:
        """What was measured of models that the workflow trains itself; nothing at other scales."""
        names = ("accuracy.csv", "rewards.csv") if self.scale.synthetic else ()
        return [self.paths.synthetic(name) for name in names]

    @property
    def headroom(self) -> list[str]:
        """The table of how far the small rewards can be pushed; nothing at other scales."""
        return [self.paths.synthetic("headroom.csv")] if self.scale.synthetic else []

    def runs(self) -> dict[Path, tuple[Experiment, str, int]]:
        """Folder of each training run -> its experiment, arm and seed."""
        return {
            Path(self.paths.run.format(experiment=e.name, arm=arm, seed=seed)): (e, arm, seed)
            for e in self.experiments.values()
            for arm in e.arms
            for seed in e.training_seeds(self.seeds)
        }

    def experiment_files(self, experiment: Experiment) -> list[str]:
        """All files of an experiment: its arms, their selection, and their measurements."""
        measured = [
            file
            for frame in EXPERIMENT_FRAMES
            for file in self.measured_frames(frame, [experiment])
        ]
        return self.run_frames("manifest", [experiment]) + measured

    # --- frames ------------------------------------------------------------------------------

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
            if frame != "alignment" or e.alignment
            for seed in e.training_seeds(self.seeds if seeds is None else seeds)
        ]

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

    # --- inputs of an experiment's jobs ----------------------------------------------------------

    def run_files(self, wildcards: Any) -> list[str]:
        """Manifest and rewards of each run of which a checkpoint is selected."""
        return [
            place.format(arm=arm, **wildcards)
            for arm in self.of(wildcards).measured
            for place in (self.paths.manifest, self.paths.updates)
        ]

    def image_indices(self, wildcards: Any) -> list[str]:
        """Indices of the images that are measured, the base model's first."""
        experiment = self.of(wildcards)
        return [self.paths.base_index.format(base=experiment.base_images)] + [
            self.paths.image_index.format(arm=arm, **wildcards) for arm in experiment.measured
        ]

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
            for word in ("--base", e.name, self.paths.base_images.format(base=e.base_images))
        ]

    def compared_manifests(self, wildcards: Any) -> list[str]:
        return [self.paths.manifest.format(arm=arm, **wildcards) for arm in COMPARED]

    # Words of a command line are lists, so that `{params.x:q}` quotes each of them.
    def run_options(self, wildcards: Any) -> list[str]:
        """`--run FOLDER` of each arm of which a checkpoint is selected."""
        arms = self.of(wildcards).measured
        return [w for a in arms for w in ("--run", self.paths.run.format(arm=a, **wildcards))]

    def image_options(self, wildcards: Any) -> list[str]:
        """`--arm ARM FOLDER` of the images that are measured."""
        arms = self.of(wildcards).measured
        return [w for a in arms for w in ("--arm", a, self.paths.images.format(arm=a, **wildcards))]

    def compared_options(self, wildcards: Any) -> list[str]:
        """`--arm ARM FOLDER` of the runs that are compared."""
        return [
            w for a in COMPARED for w in ("--arm", a, self.paths.run.format(arm=a, **wildcards))
        ]

    def study_files(self, experiment: Experiment) -> list[str]:
        """Manifests and selections of the runs whose images people compare."""
        name, paths = experiment.name, self.paths
        return [
            file
            for seed in self.seeds
            for file in (
                *(paths.manifest.format(experiment=name, arm=arm, seed=seed) for arm in COMPARED),
                paths.selection.format(experiment=name, seed=seed),
            )
        ]

    def study_options(self, experiment: Experiment) -> list[str]:
        """`--run SEED BASELINE PCPO SELECTION` for each training seed."""
        name, paths = experiment.name, self.paths
        return [
            word
            for seed in self.seeds
            for word in (
                *("--run", str(seed)),
                *(paths.run.format(experiment=name, arm=arm, seed=seed) for arm in COMPARED),
                paths.selection.format(experiment=name, seed=seed),
            )
        ]

    # --- tables ------------------------------------------------------------------------------

    def table_inputs(self, wildcards: Any) -> dict[str, list[str]]:
        """Files of each frame that a table is made from, by the frame's name."""
        table = TABLES[wildcards.table]
        chosen = self._chosen(table.experiments)

        def arms(experiment: Experiment) -> list[str]:
            return [*COMPARED, *(arm for arm in table.also if arm in experiment.arms)]

        return {
            frame: self.run_frames(frame, chosen, arms)
            if frame == "updates"
            else self.measured_frames(frame, chosen)
            for frame in table.frames
        }

    def published(self, table: str, home: str) -> list[str]:
        """The paper's own table; none for a table that it does not have."""
        return [f"{home}config/paper/{table}.csv"] if TABLES[table].printed else []

    def table_differences(self, table: str) -> dict[str, list[str]]:
        """The line on its experiments' sizes below a table: a change redraws the table."""
        chosen = self._chosen(TABLES[table].experiments)
        return {e.name: scale_differences(e.name, self.scale.name) for e in chosen}

    def table_compared(self, table: str) -> list[str]:
        return self.compared_at(TABLES[table].experiments)

    def compared_at(self, numbers: Iterable[int]) -> list[str]:
        """Reward levels and published epochs, which no frame has: a change redraws the table."""
        return [e.digest("evaluation", "alignment_checkpoint") for e in self._chosen(numbers)]

    def _chosen(self, numbers: Iterable[int]) -> list[Experiment]:
        return [self._numbered[number] for number in numbers]

    # --- figures -----------------------------------------------------------------------------

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

    def pictures(self) -> list[str]:
        """The figures of previews, of the first training seed; none where they are not drawn."""
        (seed,), place = self._first_seed, f"{self.paths.pictures}.png"
        chosen = self.experiments if self.scale.previews is not None else ()
        return [place.format(experiment=name, seed=seed) for name in chosen]

    def picture_options(self, wildcards: Any) -> list[str]:
        """`--arm ARM FOLDER` of all runs of an experiment and a training seed."""
        arms = self.of(wildcards).arms
        return [w for a in arms for w in ("--arm", a, self.paths.run.format(arm=a, **wildcards))]

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
        return self.run_frames(frame, chosen, lambda experiment: self._figure_arms(spec))

    def _figure_arms(self, spec: FigureInput) -> list[str]:
        """The arms that a figure always shows, and others that the scale trains."""
        there = {arm for e in self._chosen(spec.experiments) for arm in e.arms}
        return [*spec.arms, *(arm for arm in spec.also if arm in there)]

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


def _parts(names: Iterable[str]) -> dict[str, list[str]]:
    """figure7 -> [figure7a, figure7b, ...]: what one word of the command line makes together."""
    found: dict[str, list[str]] = {}
    for name in names:
        if part := re.fullmatch(r"((?:table|figure)\d+)[a-z]", name):
            found.setdefault(part[1], []).append(name)
    return found


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
