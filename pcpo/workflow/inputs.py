"""Inputs of rules other than frames: models, prompts, rewards, features, and code."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from pcpo.config import Experiment, Scale
from pcpo.records.sources import file_of, sources_of
from pcpo.training.trained_code import training_sources

# --- code: an edit runs the rule again -----------------------------------------------------------


def code(*modules: str) -> list[str]:
    """Files of the package that a short job (minutes) depends on if it runs these modules."""
    return _files(sources_of(*modules))


def frames_code(*modules: str) -> list[str]:
    """The same for a job that reads frames: also their columns and their files."""
    return code(*modules, "pcpo.records.frames", "pcpo.records.frame_file")


def measuring_code(
    *modules: str, loaded: Iterable[str] = (), trained_by: Iterable[str] = ()
) -> list[str]:
    """The same for a job that measures trained runs, for hours or days on a GPU.

    The code that trained the runs is left out, except `modules` themselves: Snakemake only prints a
    notice if it was edited. The user then accepts the runs as they are, or trains them again with
    everything that depends on them.

    loaded: modules that are found by their names. trained_by: the modules of pcpo/rewards that
    trained the runs.
    """
    noticed = {*training_sources(*trained_by)} - {file_of(module) for module in modules}
    return _files(source for source in sources_of(*modules, *loaded) if source not in noticed)


def synthetic_code(*modules: str) -> list[str]:
    """The same for a job that trains a synthetic model: only files of pcpo/synthetic.

    `pcpo.synthetic` shares networks with pcpo/rewards and pcpo/features. An edit there must not
    train the models again, because every run would then be trained again too.
    """
    return _files(sources_of(*modules, without=("pcpo.rewards", "pcpo.features")))


def _files(sources: Iterable[str]) -> list[str]:
    return [f"pcpo/{source}" for source in sources]


def reward_modules(scale: Scale, names: Iterable[str]) -> list[str]:
    """The modules of pcpo/rewards that implement the keys of a scale."""
    return sorted({scale.rewards[name].implementation or name for name in names})


def alignment_modules(scale: Scale, experiment: Experiment) -> dict[str, list[str]]:
    """`loaded` and `trained_by` of the job that measures an experiment's alignment."""
    measured = reward_modules(scale, alignment_rewards(scale, experiment))
    return {
        "loaded": [f"pcpo.rewards.{module}" for module in measured],
        "trained_by": reward_modules(scale, [experiment.reward.name]),
    }


def guidance_modules(scale: Scale, rewards: Iterable[str]) -> dict[str, list[str]]:
    """`loaded` and `trained_by` of the job that samples between models with these rewards."""
    modules = reward_modules(scale, rewards)
    scored = [f"pcpo.rewards.{module}" for module in modules]
    return {"loaded": [*scored, *quality_modules(scale)], "trained_by": modules}


def quality_modules(scale: Scale) -> list[str]:
    """The extractors and metrics with which a scale measures quality."""
    measured = scale.quality.values()
    return sorted(
        {f"pcpo.features.{source.features}" for source in measured}
        | {f"pcpo.metrics.{source.metric}" for source in measured}
    )


# --- files from which a base model, a reward, ... is loaded --------------------------------------


def ready(scale: Scale, folder: str, trained: str) -> list[str]:
    """The file that shows the workflow that a folder of weights is complete.

    The demo's trainings write `trained` last; a download writes its manifest. A folder that
    is not under data/ comes with a package.
    """
    if scale.synthetic:
        return [f"{folder}/{trained}"]
    return [f"{folder}/assets.json"] if folder.startswith("data/") else []


def model_files(scale: Scale, experiment: Experiment) -> list[str]:
    """Files that must exist before the experiment's base model can be loaded."""
    return ready(scale, scale.models[experiment.model].path, "model_index.json")


def prompt_files(scale: Scale, names: Iterable[str]) -> list[str]:
    return [scale.prompts[name] for name in names]


def training_prompts(experiment: Experiment) -> list[str]:
    """The prompt sets of a training, and of its validation."""
    validation = experiment.validation
    return [experiment.prompts] + ([validation.prompts] if validation else [])


def reward_files(scale: Scale, names: Iterable[str]) -> list[str]:
    folders = (path for name in names if (path := scale.rewards[name].path) is not None)
    return sorted({file for folder in folders for file in ready(scale, folder, "accuracy.csv")})


def reward_settings(scale: Scale, names: Iterable[str]) -> dict[str, Any]:
    """A scale's settings of rewards: a changed option changes every score."""
    return {name: scale.rewards[name].model_dump(mode="json") for name in sorted(names)}


def alignment_rewards(scale: Scale, experiment: Experiment) -> Collection[str]:
    """The rewards that score an experiment's images of unseen prompts."""
    return {r for dataset in experiment.alignment for r in scale.alignment[dataset].values()}


def feature_files(scale: Scale) -> list[str]:
    return [f for path in scale.features.values() for f in ready(scale, path, "config.json")]
