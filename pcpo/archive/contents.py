"""Which files of a run go into its archive: all small files, and all inputs of tables and figures.

Weights, resume states, features, and images that no figure shows are left out. Sources are the
files that git tracks, and the run's own files of configuration even if untracked. Profiles are left
out: they describe a site and change no number. Hosts and folders are left out too (`anonymous`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import yaml

from pcpo.archive.anonymous import anonymous
from pcpo.archive.bundle import ABOUT, FORMAT, WRITTEN
from pcpo.archive.pictures import Row, shown_images
from pcpo.config import Experiment, files, load_arm, load_experiments, load_scale
from pcpo.config.at_scale import files_of
from pcpo.config.gradients import measured_arms
from pcpo.config.reward_guidance import guided, seeds_of
from pcpo.figures.registry import FIGURES, OF_PEOPLE
from pcpo.paths import (
    CAPTION_SUFFIXES,
    EXPERIMENT_FRAMES,
    FIGURE_SUFFIXES,
    PACKAGE,
    PICTURE_SUFFIXES,
    RUN_FRAMES,
    SINGLE_FRAMES,
    STUDY_FRAMES,
    TABLE_SUFFIXES,
    Paths,
)
from pcpo.records import frame_file, frames, strips
from pcpo.records.frames import FrameSpec
from pcpo.records.git import NoAnswer, tracked
from pcpo.records.strip_files import shown_strips
from pcpo.tables import TABLES

REPOSITORY = PACKAGE.parent
SELF = "archive"  # the rule whose own log and provenance an archive cannot hold
# Sources of the numbers besides config/ and the package.
_SOURCES = (
    *("Snakefile", "rules/*.smk", "pyproject.toml", "requirements.lock"),
    *("envs/*.yaml", "envs/*.sh", "envs/*.py"),
    *("LICENSE", "CITATION.cff", "README.md", "CHANGELOG.md"),
    *("pcpo/**/*.py", *(f"pcpo/report/templates/*.{kind}" for kind in ("html", "css"))),
)
# The files of config/ that are read, for use where git does not say which belong to it.
_CONFIG = (
    *("config.yaml", "original.yaml", "paper.yaml", "pilot.yaml"),
    *("study.yaml", "study50.yaml", "study2.yaml"),
    *("assets.csv", "assets.lock"),
    *("arms.yaml", "claims.yaml", "questions.yaml", "questions2.yaml", "defaults.yaml"),
    *("grid.yaml", "experiments/*.yaml", "variants/*.yaml", "presets/*.yaml", "scale/*.yaml"),
    "paper/*.csv",
)


def contents(
    paths: Paths,
    experiments: Sequence[Experiment],
    seeds: Sequence[int],
    grids: Mapping[str, Iterable[Row]],
) -> dict[str, Path | bytes]:
    """Name in the archive -> file or bytes; names are those of the repository.

    Raises FileNotFoundError for a missing file of the workflow, and ValueError for an image that is
    damaged, or a frame that is damaged or of another run.
    """
    found: dict[str, Path | bytes] = {}
    tidy = _frames(paths, experiments, seeds)
    manifests = [path.with_name("checkpoints.csv") for path, spec in tidy if spec == frames.UPDATES]
    made = [*_reporting(paths, experiments), *_pictures(paths, experiments, seeds[0])]
    for path in [*made, *manifests, *(path for path, _ in tidy)]:
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} is missing: let `snakemake --cores all archive` make it"
            )
        found[path.as_posix()] = path
    for path, spec in tidy:
        frame_file.read(path, spec, paths.scale, [experiment.name for experiment in experiments])
    found |= {path.as_posix(): source for path, source in shown_images(grids).items()}
    found |= anonymous({p.as_posix(): p for p in _records(paths, experiments, seeds)})
    for path in _belonging(REPOSITORY, _SOURCES):
        found[path.relative_to(REPOSITORY).as_posix()] = path
    for path in {*_belonging(files.CONFIG, _CONFIG), *_read(paths.scale, experiments)}:
        found[f"config/{path.relative_to(files.CONFIG).as_posix()}"] = path
    for experiment in experiments:
        found[f"{paths.root}/configurations/{experiment.name}.yaml"] = _resolved(experiment)
    names = [experiment.name for experiment in experiments]
    about = {"format": FORMAT, "scale": paths.scale, "experiments": names, "seeds": list(seeds)}
    return found | {ABOUT: f"{json.dumps(about, indent=1)}\n".encode()}


def _reporting(paths: Paths, experiments: Sequence[Experiment]) -> list[Path]:
    """The files for readers, as far as these experiments have them."""
    numbers = {experiment.number for experiment in experiments}
    drawn = {name: f for name, f in FIGURES.items() if not f.lacks(experiments)}
    tables = {name: t for name, t in TABLES.items() if not t.lacks(experiments)}
    made = [Path(paths.compare), Path(paths.report)]
    ledgers = [paths.claims, *([paths.questions] if load_scale(paths.scale).questions else [])]
    made += [Path(f"{ledger}.{suffix}") for ledger in ledgers for suffix in ("csv", "md")]
    for pattern, specs, suffixes in (
        (paths.table, tables, TABLE_SUFFIXES),
        (paths.figure, drawn, (*FIGURE_SUFFIXES, *CAPTION_SUFFIXES)),
    ):
        for name in specs:
            if name in OF_PEOPLE and not paths.answered():
                continue
            if set(specs[name].experiments) <= numbers:
                stem = pattern.format(table=name, figure=name)
                made += [Path(f"{stem}.{suffix}") for suffix in suffixes]
    return made


def _pictures(paths: Paths, experiments: Sequence[Experiment], seed: int) -> list[Path]:
    """Training in pictures, of experiments whose runs have previews: those that it shows, and it.

    Runs have none where the scale draws none, or drew none when they trained. Raises ValueError for
    a damaged one.
    """
    found: list[Path] = []
    for e in experiments:
        named = {"experiment": e.name, "seed": seed}
        shown = shown_strips(Path(paths.run.format(arm=arm, **named)) for arm in e.arms)
        for own in shown:
            strips.read_files(own)
            found += own.values()
        if any(shown):
            found += [Path(paths.picture_file.format(suffix=s, **named)) for s in PICTURE_SUFFIXES]
    return found


def _frames(
    paths: Paths, experiments: Sequence[Experiment], seeds: Sequence[int]
) -> list[tuple[Path, FrameSpec]]:
    """The tidy frames: of runs, experiments, credit, reward guidance, gradients, answers."""
    single = (*SINGLE_FRAMES, *(STUDY_FRAMES if paths.answered() else ()))
    found = [(name, getattr(paths, name)) for name in single]
    for experiment in experiments:
        measured = [name for name in EXPERIMENT_FRAMES if experiment.has(name)]
        for seed in experiment.training_seeds(seeds):
            named = {"experiment": experiment.name, "seed": seed}
            found += [(name, getattr(paths, name).format(**named)) for name in measured]
            for arm in experiment.arms:
                for name in RUN_FRAMES:
                    found.append((name, getattr(paths, name).format(arm=arm, **named)))
            for arm in measured_arms(experiment):
                found.append(("gradients", paths.gradients.format(arm=arm, **named)))
    for name, models in guided(experiments).items():
        for seed in seeds_of(models, seeds):
            place = paths.reward_guidance.format(experiment=name, seed=seed)
            found.append(("reward_guidance", place))
    return [(Path(path), frames.BY_NAME[name]) for name, path in found]


def _records(paths: Paths, experiments: Sequence[Experiment], seeds: Sequence[int]) -> list[Path]:
    """Records of the run: logs, costs, provenance, histories, accuracy of the demo's models."""
    root, own = Path(paths.root), {experiment.name for experiment in experiments}
    # Of a part of a run, without those of its other experiments.
    others = tuple(e.name for e in load_experiments(paths.scale) if e.name not in own)
    found = [*root.glob("synthetic/*.csv"), *root.glob("plan.*")]
    for name in WRITTEN:
        for path in (root / name).glob("*/**/*"):
            _, rule, *rest = path.relative_to(root).parts
            if rule != SELF and not any(part.startswith(others) for part in rest):
                found.append(path)
    for experiment in experiments:
        for arm in experiment.arms:
            for seed in experiment.training_seeds(seeds):
                run = paths.run.format(experiment=experiment.name, arm=arm, seed=seed)
                found.append(Path(run) / "history.jsonl")
    return [path for path in found if path.is_file()]


def left_out(packed: Iterable[str]) -> list[str]:
    """Sources that are not among the names `packed` because git does not track them."""
    sources = [path.relative_to(REPOSITORY) for path in _matching(REPOSITORY, _SOURCES)]
    config = [path.relative_to(files.CONFIG) for path in _matching(files.CONFIG, _CONFIG)]
    names = {path.as_posix() for path in [*sources, *("config" / path for path in config)]}
    return sorted(names - set(packed))


def _matching(folder: Path, patterns: Sequence[str]) -> set[Path]:
    return {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}


def _belonging(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """Files of a folder that git tracks among `patterns`; all of them where git tracks none."""
    found = _matching(folder, patterns)
    try:
        return sorted(found & tracked(folder) or found)
    except NoAnswer:  # no git, or no checkout
        return sorted(found)


def _read(scale: str, experiments: Sequence[Experiment]) -> list[Path]:
    """The run's files of configuration, tracked or not: they can be a user's own."""
    resolved = load_scale(scale)
    found = [Path(sizes.file) for sizes in resolved.sizes]
    found += [file for e in experiments for file in files_of(e.name)]
    found += [files.CONFIG / f"{q}.yaml"] if (q := resolved.questions) else []
    return found + ([files.CONFIG / "presets" / f"{p}.yaml"] if (p := resolved.preset) else [])


def _resolved(experiment: Experiment) -> bytes:
    """An experiment and its arms as resolved by the code, with the digest that identifies runs."""
    arms = {a: load_arm(a).model_dump(mode="json", exclude={"name"}) for a in experiment.arms}
    whole = {"digest": experiment.digest(), "experiment": experiment.model_dump(mode="json")}
    return yaml.safe_dump(whole | {"arms": arms}, sort_keys=False, width=90).encode()
