"""Which files of a run go into its archive: all that is small, and all that is drawn from.

Not weights, resume states, features, or images that no figure shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import yaml

from pcpo.archive.bundle import ABOUT, FORMAT, WRITTEN
from pcpo.archive.pictures import Row, shown_images
from pcpo.config import Experiment, files, load_arm
from pcpo.paths import FIGURES, PACKAGE, TABLES, Paths

REPOSITORY = PACKAGE.parent
SELF = "archive"  # the rule whose own log and provenance an archive cannot hold
# What the numbers were made by and from, besides config/ and the package.
_SOURCES = (
    *("Snakefile", "rules/*.smk", "envs/*", "profiles/*/*", "pyproject.toml", "requirements.lock"),
    *("LICENSE", "CITATION.cff", "README.md", "CHANGELOG.md"),
)
_CODE = ("*.py", "report/templates/*")


def contents(
    paths: Paths,
    experiments: Sequence[Experiment],
    seeds: Sequence[int],
    grids: Mapping[str, Iterable[Row]],
) -> dict[str, Path | bytes]:
    """Name in the archive -> file or bytes; names are those of the repository.

    Raises FileNotFoundError for a file that the workflow makes and that is not there.
    """
    found: dict[str, Path | bytes] = {}
    for path in [*_reporting(paths, experiments), *_frames(paths, experiments, seeds)]:
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: let `snakemake archive` make it")
        found[path.as_posix()] = path
    found |= {path.as_posix(): source for path, source in shown_images(grids).items()}
    for path in _records(paths, experiments, seeds):
        found[path.as_posix()] = path
    for path in _sources():
        found[path.relative_to(REPOSITORY).as_posix()] = path
    for path in sorted(files.CONFIG.rglob("*")):
        if path.is_file():
            found[f"config/{path.relative_to(files.CONFIG).as_posix()}"] = path
    for experiment in experiments:
        found[f"{paths.root}/configurations/{experiment.name}.yaml"] = _resolved(experiment)
    names = [experiment.name for experiment in experiments]
    about = {"format": FORMAT, "scale": paths.scale, "experiments": names, "seeds": list(seeds)}
    return found | {ABOUT: f"{json.dumps(about, indent=1)}\n".encode()}


def _reporting(paths: Paths, experiments: Sequence[Experiment]) -> list[Path]:
    """What a reader opens, as far as these experiments have it."""
    numbers = {experiment.number for experiment in experiments}
    made = [Path(paths.compare), Path(paths.report)]
    made += [Path(f"{paths.claims}.{suffix}") for suffix in ("csv", "md")]
    for pattern, specs, suffixes in (
        (paths.table, TABLES, ("csv", "md", "tex")),
        (paths.figure, FIGURES, ("pdf", "png", "svg", "md")),
    ):
        for name in specs:
            if set(specs[name].experiments) <= numbers:
                stem = pattern.format(table=name, figure=name)
                made += [Path(f"{stem}.{suffix}") for suffix in suffixes]
    return made


def _frames(paths: Paths, experiments: Sequence[Experiment], seeds: Sequence[int]) -> list[Path]:
    """The tidy frames: of every run, of every experiment, and the credit weights."""
    found = [Path(paths.credit), Path(paths.readings)]
    for experiment in experiments:
        measured = [paths.selection, paths.overall, paths.per_prompt]
        measured += [paths.alignment] if experiment.alignment else []
        of_run = (paths.manifest, paths.updates, paths.timesteps, paths.validation)
        for seed in seeds:
            found += [Path(p.format(experiment=experiment.name, seed=seed)) for p in measured]
            for arm in experiment.arms:
                named = {"experiment": experiment.name, "arm": arm, "seed": seed}
                found += [Path(pattern.format(**named)) for pattern in of_run]
    return found


def _records(paths: Paths, experiments: Sequence[Experiment], seeds: Sequence[int]) -> list[Path]:
    """What there is about the making: logs, costs, provenance, histories, the world's accuracy."""
    root = Path(paths.root)
    found = [*root.glob("world/*.csv"), *root.glob("plan.*")]
    for name in WRITTEN:
        found += [p for p in (root / name).glob("*/**/*") if p.relative_to(root).parts[1] != SELF]
    for experiment in experiments:
        for arm in experiment.arms:
            for seed in seeds:
                run = paths.run.format(experiment=experiment.name, arm=arm, seed=seed)
                found.append(Path(run) / "history.jsonl")
    return [path for path in found if path.is_file()]


def _sources() -> list[Path]:
    found = [path for pattern in _SOURCES for path in REPOSITORY.glob(pattern)]
    found += [path for pattern in _CODE for path in PACKAGE.rglob(pattern)]
    return [path for path in found if path.is_file()]


def _resolved(experiment: Experiment) -> bytes:
    """An experiment and its arms as the code resolved them, with the digest that runs go by."""
    arms = {a: load_arm(a).model_dump(mode="json", exclude={"name"}) for a in experiment.arms}
    whole = {"digest": experiment.digest(), "experiment": experiment.model_dump(mode="json")}
    return yaml.safe_dump(whole | {"arms": arms}, sort_keys=False, width=90).encode()
