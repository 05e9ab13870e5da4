"""An archive's runs as finished ones of this checkout, so that a study can go on with more of them.

An archive has the frames of its trainings, not their weights. So this is for experiments of which
no image is measured (`compared: []`): measuring another seed would need the base model's images,
and then those of all seeds. Snakemake makes again what is older than its inputs, so that the base
models have to be there before, and all files get one time.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pcpo.archive.bundle import WRITTEN, Archive
from pcpo.config import Scale, files, load_experiment, load_scale
from pcpo.records.digest import of_file

# What decides only which runs there are, and what is made of them.
_CHOICES = ("arms", "compared", "seeds_at_most", "gradients", "reward_guidance", "alignment")
# What is copied below results/<scale>: frames, and what the rules of trainings wrote about them.
_FRAMES = ("runs", "tidy/gradients")
_RULES = ("train", "gradients")


def add(archive: Archive, results: Path) -> list[Path]:
    """Copy the archive's files below `results`/<scale>; returns them there.

    Raises ValueError, with nothing copied, where images of an experiment are measured, where its
    settings differ from this checkout's, where a base model is missing that would be made later,
    and where another file of the same name is there.
    """
    if measured := [n for n in archive.experiments if load_experiment(n, archive.scale).measured]:
        raise ValueError(
            f"{measured[0]}: images of it are measured, and the archive has no weights; to go on "
            "with such a run, carry it (`python -m pcpo carry`)"
        )
    if where := _other_settings(archive):
        raise ValueError(f"{archive.name}: {where} differs from this checkout's: no run to add to")
    scale = load_scale(archive.scale)
    if missing := _missing_models(scale, archive.experiments, results):
        raise ValueError(
            f"{missing[0]}: make the base models and rewards first, since a run that is older than "
            "its model is trained again (docs/run.md has the command)"
        )
    root = archive.folder / "results" / archive.scale
    tops = [*_FRAMES, *(f"{kind}/{rule}" for kind in WRITTEN for rule in _RULES)]
    wanted = {
        file: results / archive.scale / file.relative_to(root)
        for top in tops
        for file in sorted((root / top).rglob("*"))
        if file.is_file()
    }
    there = [new for old, new in wanted.items() if new.exists() and of_file(new) != of_file(old)]
    if there:
        raise ValueError(f"{there[0]}: another file is there already; move it, nothing was copied")
    for old, new in wanted.items():
        new.parent.mkdir(parents=True, exist_ok=True)
        if not new.exists():
            shutil.copyfile(old, new)
    now = time.time()
    for new in wanted.values():
        os.utime(new, (now, now))
    return [*wanted.values()]


def _other_settings(archive: Archive) -> str:
    """The first setting of an experiment that is another one in this checkout; "" where none is."""
    ours = {name: _settings(name, archive.scale) for name in archive.experiments}
    with files.reading_from(archive.folder / "config"):
        theirs = {name: _settings(name, archive.scale) for name in archive.experiments}
    for name in archive.experiments:
        for key, value in theirs[name].items():
            if ours[name].get(key) != value:
                return f"{key} of {name}"
    return ""


def _settings(name: str, scale: str) -> dict[str, Any]:
    values = load_experiment(name, scale).model_dump(mode="json")
    return {key: value for key, value in values.items() if key not in _CHOICES}


def _missing_models(scale: Scale, names: Iterable[str], results: Path) -> list[str]:
    """Base models that the workflow makes itself and that are not there."""
    models = {scale.models[load_experiment(name, scale.name).model].path for name in names}
    own = [path for path in sorted(models) if path.startswith("results/")]
    return [path for path in own if not (results.parent / path / "model_index.json").exists()]
