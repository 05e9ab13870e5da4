"""A scale: where models, prompts and rewards come from, and sizes that override experiments.

A scale may start from another one (`extends`), whose sizes its own override, and may name a preset.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from pcpo.config import files
from pcpo.config.files import (
    ConfigError,
    Keys,
    Name,
    Origin,
    Record,
    explain,
    known_name,
    leaves,
    load_yaml,
    merge,
)
from pcpo.config.overlay import OF_EXPERIMENTS, Layer, Overlay
from pcpo.names import shown
from pcpo.records.digest import of_folder

# Dotted keys that a scale may set; `x.*` means every key below x. Everything else is method.
SCALE_MAY_CHANGE = (
    "sampler.steps",
    "sampler.resolution",
    "sampler.guidance_scale",  # depends on the model's weights, which the scale chooses
    "sampler.initial_noise_groups",
    "batch.prompts_per_iteration",
    "batch.images_per_prompt",
    "batch.images_per_iteration",
    "batch.gradient_updates",
    "batch.micro_batch",
    "advantage.buffer",
    "advantage.min_count",
    "optimizer.learning_rate",
    "clip_range",  # grows as 1/sqrt(latent dimensions): log-probabilities are means over them
    "lora.rank",
    "lora.alpha",
    "precision",
    "ema.every",
    "ema.images_per_call",
    "epochs",
    "checkpoint_every",
    "execution.*",
    "evaluation.*",
    "reward_guidance",  # whether, in what points
    "reward_guidance.*",
    "gradients",  # null turns it off
    "gradients.*",
    "validation.*",  # what is measured during training, not how it trains
    "arms",  # which of them are trained, not how
    "compared",  # which of them are measured, not how
    "seeds_at_most",  # how often, not how
)


def may_change(key: str) -> bool:
    """Whether a scale may set a dotted key of an experiment."""
    return any(
        key == may or (may.endswith(".*") and key.startswith(may[:-1])) for may in SCALE_MAY_CHANGE
    )


class ModelSource(Record):
    """Where a base model comes from: a folder, or a repository with a pinned revision."""

    path: str
    revision: str | None = None


class RewardSource(Record):
    """Weights of a reward. `implementation` names the module where the key is another."""

    path: str | None = None  # None: a reward without weights
    options: dict[str, Any] = Field(default_factory=dict)
    implementation: Name | None = None

    def weights_digest(self) -> str | None:
        return None if self.path is None else of_folder(self.path)


class FeatureSource(Record):
    """A metric column of the quality tables: what is measured for it at this scale."""

    features: Name  # a module of pcpo/features
    output: Name  # a key of its result
    metric: Name  # a module of pcpo/metrics
    measured: str  # its name in tables


class Previews(Record):
    """Preview images in the course of a training; they change nothing of it."""

    every: int = Field(gt=0)  # epochs
    prompts: int = Field(gt=0)  # at most so many of the training prompts, one image each


class Scale(Record):
    """Where the models and data of a scale come from, and the sizes that it sets in experiments."""

    name: Name
    note: str  # printed below every table of the scale
    preset: Name | None = None  # a file of config/presets, applied to experiments before sizes
    device: Literal["cpu", "cuda"]  # on which its commands run by default
    models: dict[Name, ModelSource]
    prompts: dict[Name, str]
    rewards: dict[Name, RewardSource]
    features: dict[Name, str]  # module of pcpo/features -> folder of its weights
    quality: dict[Name, FeatureSource]  # metric column -> what is measured
    previews: Previews | None = None
    tracker: Literal["none", "tensorboard", "wandb"] = "none"  # of trainings
    # Which files of config/experiments/ the scale has; None: all of them.
    only_experiments: tuple[Name, ...] | None = None
    questions: Name | None = None  # config/<questions>.yaml, in the form of claims.yaml
    alignment: dict[Name, dict[Name, Name]]  # prompt set -> column of Table 5 or 9 -> reward
    synthetic: dict[Name, Any] = Field(
        default_factory=dict
    )  # sizes of the synthetic models; empty if models are downloaded
    sizes: tuple[Overlay, ...]  # of the files that it extends, then of its own

    @model_validator(mode="after")
    def _names(self) -> Scale:
        """Check that measurements use only rewards and features of the same file."""
        for dataset, columns in self.alignment.items():
            for column, reward in columns.items():
                _known(reward, self.rewards, f"alignment.{dataset}.{column}", "rewards:")
        for column, measured in self.quality.items():
            _known(measured.features, self.features, f"quality.{column}.features", "features:")
        return self

    @model_validator(mode="after")
    def _synthetic_inside(self) -> Scale:
        """Synthetic prompt sets are deleted and rewritten, so they must be in their own folder."""
        inside = f"results/{self.name}/synthetic/"
        for key, path in self.prompts.items() if self.synthetic else ():
            if not path.startswith(inside) or ".." in path.split("/"):
                raise ValueError(
                    f"prompts.{key}: synthetic prompt sets are made below {inside}; "
                    f"got {shown(path)}"
                )
        return self

    def layers(self, experiment: str) -> list[Layer]:
        """The layers that override an experiment; later ones override earlier ones."""
        return [layer for sizes in self.sizes for layer in sizes.layers(experiment)]


def check_modules(scale: Scale) -> None:
    """Raise ConfigError for a reward, features or a metric without a module in the package.

    Otherwise a run would fail only when it uses them. Tables and figures from an archive need none.
    """
    named = [(source.implementation or key, "rewards", f"rewards.{key}")
             for key, source in scale.rewards.items()]  # fmt: skip
    named += [(key, "features", f"features.{key}") for key in scale.features]
    named += [(m.metric, "metrics", f"quality.{key}.metric") for key, m in scale.quality.items()]
    for name, folder, key in named:
        modules = (Path(__file__).parents[1] / folder).glob("[!_]*.py")
        where = f"{files.CONFIG / 'scale' / scale.name}.yaml (or what it extends): {key}"
        try:
            _known(name, [file.stem for file in modules], where, f"pcpo/{folder}/")
        except ValueError as error:
            raise ConfigError(str(error)) from error


def _known(name: str, known: Collection[str], where: str, place: str) -> None:
    if name not in known:
        raise ValueError(f"{where}: no '{name}' below {place}; known: {', '.join(sorted(known))}")


def experiment_names() -> list[str]:
    """Stems of the files in config/experiments, each a number and a name.

    Raises ConfigError for any other stem. `pcpo.config.at_scale` has the experiments of a scale.
    """
    return [path.stem for path in numbered_files("experiments")]


def numbered_files(folder: str) -> list[Path]:
    """The YAML files of a folder of config/, by name; each name begins with a number.

    Raises ConfigError for any other stem: stems are part of paths, commands and names of rules.
    """
    found = sorted((files.CONFIG / folder).glob("*.yaml"))
    for path in found:
        known_name(path.stem, f"{shown(str(path))}: file name")
        if not path.stem.partition("_")[0].isdecimal():
            raise ConfigError(f"{path}: file name: begins with a number, as in 11_mine.yaml")
    return found


def load_scale(name: str) -> Scale:
    """Load config/scale/<name>.yaml over the files that it extends, one by one.

    `note` is not inherited from an extended scale. Raises ConfigError with the file and the key of
    each mistake.
    """
    return resolve_scale(name)[0]


def resolve_scale(name: str) -> tuple[Scale, Keys]:
    """`load_scale`, and the keys of the scale with their origins."""
    chain = _chain(name)
    path, own = chain[-1]
    if "note" not in own:
        raise ConfigError(f"{path}: note: this key is missing; every scale says what it is")
    sizes = tuple(_sizes(file, data) for file, data in chain)
    merged = Keys()
    for _, data in chain:
        merged = merge(merged, data.without(*OF_EXPERIMENTS))
    filled = json.loads(json.dumps(merged).replace("{scale}", name))
    merged["name"], merged.origins["name"] = name, (Origin(path, None, name),)
    try:
        scale = Scale(name=name, sizes=sizes, **filled)
    except ValidationError as error:
        raise ConfigError(explain(error, chain, path)) from error
    if scale.questions and not (files.CONFIG / f"{scale.questions}.yaml").is_file():
        place = merged.origins["questions"][-1].file
        raise ConfigError(f"{place}: questions: there is no config/{scale.questions}.yaml")
    for listed in scale.only_experiments or ():
        if listed not in experiment_names():
            place = merged.origins["only_experiments"][-1].file
            raise ConfigError(f"{place}: only_experiments: there is no experiment {listed}")
    return scale, merged


def _chain(name: str) -> list[tuple[str, Keys]]:
    """(file, its keys) of a scale and those that it extends, starting with the base scale."""
    chain: list[tuple[str, Keys]] = []
    names: list[str] = []
    parent: Any = name
    while parent is not None:
        if parent in names:
            raise ConfigError(
                f"{chain[0][0]}: extends: the scales form a circle: {' -> '.join([*names, parent])}"
            )
        where = f"{chain[0][0]}: extends" if chain else "scale"
        names.append(known_name(parent, where))
        path = files.CONFIG / "scale" / f"{parent}.yaml"
        data = load_yaml(path, "scale")
        for key in ("name", "sizes"):
            if key in data:
                raise ConfigError(f"{path}: {key}: unknown key")
        parent = data.pop("extends", None)
        chain.insert(0, (str(path), data))
    return chain


def _sizes(file: str, data: dict[str, Any]) -> Overlay:
    """The keys of one scale file that override experiments: only sizes, of known experiments."""
    own = {key: data[key] for key in OF_EXPERIMENTS if key in data}
    try:
        sizes = Overlay(file=file, **own)
    except ValidationError as error:
        raise ConfigError(explain(error, [(file, own)])) from error
    for block, where in [
        (sizes.all, "all"),
        *((block, f"experiments.{key}") for key, block in sizes.experiments.items()),
    ]:
        for key in leaves(block):
            if not may_change(key):
                raise ConfigError(
                    f"{file}: {where}.{key}: a scale may change sizes, not the method; "
                    f"set it in config/experiments/ or remove it (allowed: "
                    f"{', '.join(SCALE_MAY_CHANGE)})"
                )
    sizes.check_names(experiment_names())
    return sizes
