"""Which assets some experiments use at a scale, and which of them are unfinished."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pcpo.assets.folders import MANIFEST
from pcpo.config import Experiment, Scale
from pcpo.prompts.sets import SETS

DATA = "data"  # folder of all assets, shared by all scales


def manifest(folder: str) -> str:
    """The last file of an asset's folder: it exists only when all files are complete."""
    return f"{folder}/{MANIFEST}"


def prompt_source(name: str) -> list[str]:
    """Manifest of a prompt set's source; none if the set is made from constants."""
    source = SETS[name].source
    return [manifest(f"{DATA}/{source}")] if source else []


def rewards_of(scale: Scale, experiment: Experiment) -> set[str]:
    """Keys under the scale's `rewards`: of the experiment, and of its alignment."""
    scores = (scale.alignment[name].values() for name in experiment.alignment)
    return {experiment.reward.name, *(reward for columns in scores for reward in columns)}


def needed(scale: Scale, experiments: Iterable[Experiment]) -> list[str]:
    """Assets whose folders or prompt files the scale names for these experiments.

    Folders elsewhere, such as the demo's models, are no assets, and neither is an existing prompt
    file. Raises ValueError for a missing one below `data/prompts/` that no set makes.
    """
    experiments = list(experiments)
    folders = {
        *(scale.models[experiment.model].path for experiment in experiments),
        *(scale.rewards[name].path or "" for e in experiments for name in rewards_of(scale, e)),
        *scale.features.values(),
    }
    for name in {name for experiment in experiments for name in experiment.prompt_sets}:
        file = Path(scale.prompts[name])
        if file.parent != Path(DATA, "prompts"):
            continue
        if file.stem in SETS:
            folders.add(f"{DATA}/{SETS[file.stem].source or ''}")
        elif not file.exists():
            raise ValueError(
                f"config/scale/{scale.name}.yaml: prompts.{name}: no prompt set '{file.stem}'; "
                f"there are: {', '.join(SETS)}; one of your own is a file that is there"
            )
    below = (folder.removeprefix(f"{DATA}/") for folder in folders if folder.startswith(f"{DATA}/"))
    return sorted(filter(None, below))


def unfinished(assets: Iterable[str], root: str = DATA) -> list[str]:
    """Assets without a manifest."""
    return [asset for asset in assets if not Path(manifest(f"{root}/{asset}")).exists()]
