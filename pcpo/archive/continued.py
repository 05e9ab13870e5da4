"""An archive's runs as finished ones of this checkout, so that a study can go on with more of them.

An archive has the frames of its trainings, not their weights. So this is for experiments of which
no image is measured (`compared: []`): measuring another seed would need the base model's images,
and then those of all seeds. Snakemake makes again what is older than its inputs, so that these have
to be there before.

The archive may come from anyone. Only files that this checkout's own configuration names are
copied, and only where all frames of a run are there, whole, and of that run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from pcpo.archive.bundle import WRITTEN, Archive
from pcpo.config import (
    TRAINING_FIELDS,
    Experiment,
    Scale,
    files,
    load_arm,
    load_experiment,
    load_scale,
)
from pcpo.config.gradients import measured_arms, measured_epochs
from pcpo.paths import RUN_FRAMES, Paths
from pcpo.records import frame_file, frames
from pcpo.records.digest import of_file
from pcpo.records.replace import new_file
from pcpo.training.identity import differences
from pcpo.training.set_aside import LOCK, idle
from pcpo.workflow import inputs

_NOTHING = "nothing was copied"
_SUFFIXES = (".log", ".tsv", ".json")  # of the kinds in WRITTEN


@dataclass(frozen=True)
class _Job:
    """A finished job: its outputs, and records that were written about it. Places by source.

    The last output is the one that shows that the job is complete.
    """

    outputs: dict[Path, Path]
    records: dict[Path, Path]


def add(archive: Archive, results: Path) -> list[Path]:
    """Copy the outputs of the archive's trainings and gradients below `results`/<scale>.

    Returns them there. A file that is there already with the same bytes stays, and a record (log,
    benchmark, provenance, history) of any bytes.

    Raises ValueError, with nothing copied, where images of an experiment are measured, where a
    setting on which runs depend differs from this checkout's, where a file is missing that runs
    need as an input, where a run of the archive is not complete, and where another file or an
    unfinished training is in a run's place. An interrupted call is completed by the next one.
    """
    scale = load_scale(archive.scale)
    experiments = [load_experiment(name, archive.scale) for name in archive.experiments]
    if measured := [e.name for e in experiments if e.measured]:
        raise ValueError(
            f"{measured[0]}: images of it are measured, and the archive has no weights; to go on "
            "with such a run, carry it (`python -m pcpo carry`)"
        )
    runs = _runs_of_both(archive)
    _check_inputs(scale, experiments, results.parent)
    there, here = (Paths(scale.name, home=f"{root}/") for root in (archive.folder, results.parent))
    jobs = [job for e in experiments for job in _jobs(e, runs[e.name], there, here)]
    for job in jobs:
        _check_place(job)
    for job in jobs:
        for old, new in [*job.records.items(), *job.outputs.items()]:
            if not new.exists():
                with new_file(new, tidy=False) as part:
                    part.write_bytes(old.read_bytes())
    # In order: gradients are measured of trainings. Snakemake looks at a benchmark's time too.
    for job in jobs:
        for new in (*job.outputs.values(), *job.records.values()):
            os.utime(new)
    return [new for job in jobs for new in job.outputs.values()]


def _runs_of_both(archive: Archive) -> dict[str, list[tuple[str, int]]]:
    """Experiment -> (arm, seed) of the archive's runs that this checkout trains too.

    Raises ValueError where one of them would be another one here.
    """
    ours = _runs(archive)
    with files.reading_from(archive.folder / "config"):
        theirs = _runs(archive)
    runs = {name: [run for run in each if run in theirs[name]] for name, each in ours.items()}
    arms = sorted({arm for each in runs.values() for arm, _ in each})
    here = _settings(archive, arms)
    with files.reading_from(archive.folder / "config"):
        there = _settings(archive, arms)
    if found := differences(there, here):
        raise ValueError(
            f"{archive.name}: its runs are of other settings than this checkout's ({found[0]}, "
            "from the archive to here); use the version and the configuration that made it"
        )
    return runs


def _runs(archive: Archive) -> dict[str, list[tuple[str, int]]]:
    experiments = [load_experiment(name, archive.scale) for name in archive.experiments]
    return {e.name: [*product(e.arms, e.training_seeds(archive.seeds))] for e in experiments}


def _settings(archive: Archive, arms: Sequence[str]) -> dict[str, Any]:
    """All of config/ on which trainings of these arms, and their models, depend."""
    scale = load_scale(archive.scale)
    experiments = [load_experiment(name, scale.name) for name in archive.experiments]
    return {
        "scale": scale.model_dump(mode="json", include={"models", "prompts", "synthetic"}),
        "rewards": inputs.reward_settings(scale, {e.reward.name for e in experiments}),
        "arms": {arm: load_arm(arm).identity() for arm in arms},
        **{e.name: {**e.identity(*TRAINING_FIELDS), "epochs": e.epochs} for e in experiments},
    }


def _check_inputs(scale: Scale, experiments: Sequence[Experiment], root: Path) -> None:
    """Raise ValueError where Snakemake would make an input of a training later than the run."""
    for e in experiments:
        needed = (
            *inputs.model_files(scale, e),
            *inputs.prompt_files(scale, inputs.training_prompts(e)),
            *inputs.reward_files(scale, [e.reward.name]),
        )
        for file in needed:
            if not (root / file).is_file():
                raise ValueError(
                    f"{file} is missing: make base models, prompts and rewards first, since a run "
                    "that is older than they are is trained again (docs/run.md has the command)"
                )


def _jobs(
    experiment: Experiment, runs: Sequence[tuple[str, int]], there: Paths, here: Paths
) -> Iterator[_Job]:
    """The finished trainings of an experiment, then its gradients, as this checkout names them.

    Raises ValueError for one that is not complete.
    """
    e = experiment
    for arm, seed in runs:
        places = _Places({"experiment": e.name, "arm": arm, "seed": seed}, there, here)
        # The manifest last: it shows that a run is complete.
        outputs = dict(places.of(name) for name in (*RUN_FRAMES, "manifest"))
        _check_run(e, *outputs, scale=there.scale)
        yield _Job(outputs, places.records("train"))
    for arm, seed in runs:
        places = _Places({"experiment": e.name, "arm": arm, "seed": seed}, there, here)
        old, new = places.of("gradients")
        if arm in measured_arms(e) and old.is_file():
            if _epochs(old, frames.GRADIENTS, e, there.scale) != {*measured_epochs(e)}:
                raise _incomplete(old, "lacks an epoch that is measured")
            yield _Job({old: new}, places.records("gradients"))


@dataclass(frozen=True)
class _Places:
    """Where files of a run lie in the archive, and in this checkout."""

    run: dict[str, str | int]
    there: Paths
    here: Paths

    def of(self, name: str) -> tuple[Path, Path]:
        old, new = (Path(getattr(p, name).format(**self.run)) for p in (self.there, self.here))
        return old, new

    def records(self, rule: str) -> dict[Path, Path]:
        """Those of a rule that the archive has."""
        stem, kinds = "_".join(map(str, self.run.values())), zip(WRITTEN, _SUFFIXES, strict=True)
        names = [f"{kind}/{rule}/{stem}{suffix}" for kind, suffix in kinds]
        found = {Path(self.there.root, name): Path(self.here.root, name) for name in names}
        if rule == "train":
            old, new = self.of("run")
            found[old / "history.jsonl"] = new / "history.jsonl"
        return {old: new for old, new in found.items() if old.is_file()}


def _check_run(
    experiment: Experiment, updates: Path, timesteps: Path, validation: Path, manifest: Path,
    *, scale: str,
) -> None:  # fmt: skip
    """Raise ValueError for a run that is damaged, of another experiment, or not complete."""
    e = experiment
    every = {*range(1, e.epochs + 1)}
    for path, spec in ((updates, frames.UPDATES), (timesteps, frames.TIMESTEPS)):
        if _epochs(path, spec, e, scale) != every:
            raise _incomplete(path, f"has not the epochs 1 to {e.epochs}")
    measured = {*range(0, e.epochs + 1, e.validation.every)} if e.validation else set()
    if not _epochs(validation, frames.VALIDATION, e, scale) >= measured:
        raise _incomplete(validation, "lacks an epoch of the validation")
    lines = ["epoch,folder"]
    lines += [f"{epoch},checkpoints/epoch_{epoch:05d}" for epoch in e.saved_epochs]
    if not manifest.is_file() or manifest.read_bytes().decode(errors="replace").split() != lines:
        raise _incomplete(manifest, f"is not the list of checkpoints of {e.epochs} epochs")


def _epochs(path: Path, spec: frames.FrameSpec, experiment: Experiment, scale: str) -> set[int]:
    """The epochs of a frame. Raises ValueError for one that is missing, damaged or of another run,
    or has a mean reward that is no number."""
    if not path.is_file():
        raise _incomplete(path, "is missing")
    frame = frame_file.read(path, spec, scale, [experiment.name])
    if "reward_mean" in frame and not np.isfinite(frame["reward_mean"]).all():
        raise _incomplete(path, "has a mean reward that is no number")
    return {*map(int, frame["epoch"])}


def _incomplete(path: Path, what: str) -> ValueError:
    return ValueError(f"{path}: {what}, so that the archive's run is not complete; {_NOTHING}")


def _check_place(job: _Job) -> None:
    """Raise ValueError where another file, or a training of the user's own, is in a job's place."""
    for old, new in job.outputs.items():
        if os.path.lexists(new) and (new.is_symlink() or not new.is_file() or _differ(old, new)):
            raise ValueError(f"{new}: another file is there already; move it; {_NOTHING}")
    for new in (*job.outputs.values(), *job.records.values()):
        folder = next(parent for parent in new.parents if os.path.lexists(parent))
        if not folder.is_dir():
            raise ValueError(f"{folder}: is no folder; move it; {_NOTHING}")
    manifest = [*job.outputs.values()][-1]
    run = manifest.parent
    if manifest.name != "checkpoints.csv" or manifest.exists() or not run.is_dir():
        return
    if (run / LOCK).exists():
        with idle(run):
            pass
    for name in ("resume", "checkpoints"):
        if os.path.lexists(run / name):
            raise ValueError(
                f"{run / name}: a training of your own is there; finish it, or set it aside "
                f"(`python -m pcpo.cli.aside --put {run}`); {_NOTHING}"
            )


def _differ(one: Path, other: Path) -> bool:
    return of_file(one) != of_file(other)
