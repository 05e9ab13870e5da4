"""Which assets some experiments use at a scale, and which of them are not there yet."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pcpo.assets.folders import MANIFEST
from pcpo.config import Experiment, Scale
from pcpo.prompts.sets import SETS

DATA = "data"  # folder of all assets, shared by all scales


def manifest(folder: str) -> str:
    """The last file of an asset's folder: there is no such file until all is in place."""
    return f"{folder}/{MANIFEST}"


def prompt_source(name: str) -> list[str]:
    """Manifest of what a prompt set is made from; none if it is made from constants."""
    source = SETS[name].source
    return [manifest(f"{DATA}/{source}")] if source else []


def rewards_of(scale: Scale, experiment: Experiment) -> set[str]:
    """Keys under the scale's `rewards`: the experiment's own, and those of its alignment."""
    scores = (scale.alignment[name].values() for name in experiment.alignment)
    return {experiment.reward.name, *(reward for columns in scores for reward in columns)}


def needed(scale: Scale, experiments: Iterable[Experiment]) -> list[str]:
    """Assets whose folders or prompt files the scale names for these experiments.

    Folders elsewhere, such as a trained world's, are no assets, and neither is a prompt file that
    is there. Raises ValueError for one below `data/prompts/` that is not, and that no set makes.
    """
    experiments = list(experiments)
    folders = {
        *(scale.models[experiment.model].path for experiment in experiments),
        *(scale.rewards[name].path for e in experiments for name in rewards_of(scale, e)),
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
    """Those without a manifest."""
    return [asset for asset in assets if not Path(manifest(f"{root}/{asset}")).exists()]
