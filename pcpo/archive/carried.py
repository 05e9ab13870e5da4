"""Which files of an unfinished run another machine needs, to go on without training again.

Snakemake has to find everything that it has made, and its own records of it. Left out is what no
later job reads: the state of a complete training, checkpoints of arms that are not compared, and
checkpoints and images of an experiment and seed that is measured; besides, what is only kept to
save time. Checkpoints go as long as the gradients at them are not measured.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pcpo.config import Experiment
from pcpo.config.gradients import measured_arms
from pcpo.config.reward_guidance import guided
from pcpo.paths import Paths, run_of

RECORDS = Path(".snakemake/metadata")  # Snakemake's, of the outputs that it made


def carried(paths: Paths, experiments: Sequence[Experiment], first_seed: int) -> list[Path]:
    """The files, below the current folder, in order. Figures show images of `first_seed`.

    Raises FileNotFoundError where there is no such run.
    """
    root = Path(paths.root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: there is no such run")
    left_out = {*_kept_for_speed(paths), *_read_by_no_job(paths, experiments, first_seed)}
    return sorted(file for top in (root, RECORDS) for file in _files(top, left_out))


def _files(top: Path, left_out: set[Path]) -> Iterator[Path]:
    for place, folders, names in os.walk(top, followlinks=True):
        folder = Path(place)
        folders[:] = [name for name in folders if folder / name not in left_out]
        for name in names:
            passing = name == "lock" or name.startswith(".") or name.endswith(".part")
            if not passing and folder / name not in left_out:
                yield folder / name


def _kept_for_speed(paths: Paths) -> Iterator[Path]:
    """Embeddings of prompts, features of images, runs that were set aside, the archive."""
    yield from (Path(paths.embeddings), Path(paths.archive))
    images = [paths.images.format(experiment="*", arm="*", seed="*")]
    images += [paths.guided_images.format(experiment="*", seed="*", point="*")]
    for pattern in (*images, paths.base_images.format(base="*")):
        yield from Path().glob(f"{pattern}/features")
    yield from Path(paths.root).glob("runs/*/*/set_aside")


def _read_by_no_job(
    paths: Paths, experiments: Sequence[Experiment], first_seed: int
) -> Iterator[Path]:
    mixed = guided(experiments)
    measured = {}
    for e in experiments:
        # Samples between models need the checkpoints too.
        mixes = [own for own, models in mixed.items() if e in models]
        measured[e.name] = _measured_seeds(paths, e, mixes)
    compared = {e.name: e.measured for e in experiments}
    differentiated = {(e.name, arm) for e in experiments for arm in measured_arms(e)}
    for updates in Path().glob(paths.updates.format(experiment="*", arm="*", seed="*")):
        of = run_of(updates)
        if of["experiment"] not in compared or not Path(paths.manifest.format(**of)).exists():
            continue  # of no known experiment, or not complete
        yield updates.with_name("resume")
        measuring = (of["experiment"], of["arm"]) in differentiated
        if measuring and not Path(paths.gradients.format(**of)).exists():
            continue
        of_no_use = of["arm"] not in compared[of["experiment"]]
        if of_no_use or of["seed"] in measured[of["experiment"]]:
            yield updates.with_name("checkpoints")
    for name, seeds in measured.items():
        for seed in seeds - {str(first_seed)}:
            yield from Path().glob(
                f"{paths.images.format(experiment=name, arm='*', seed=seed)}/*.zip"
            )


def _measured_seeds(paths: Paths, experiment: Experiment, mixes: Sequence[str]) -> set[str]:
    """Seeds with all measurements of an experiment's images, also of `mixes`: with other models."""
    frames = [paths.overall, paths.per_prompt, *([paths.alignment] if experiment.alignment else [])]
    places = [frame.format(experiment=experiment.name, seed="*") for frame in frames]
    places += [paths.reward_guidance.format(experiment=name, seed="*") for name in mixes]
    seeds = [{run_of(file)["seed"] for file in Path().glob(place)} for place in places]
    return set.intersection(*seeds)
