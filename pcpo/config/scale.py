"""A scale: where models, prompts and rewards come from, and the sizes laid over experiments."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field, ValidationError

from pcpo.config import files
from pcpo.config.files import ConfigError, Record, explain, leaves, load_yaml, merge

# Dotted keys that a scale may set; `x.*` stands for every key below x. Everything else is method.
SCALE_MAY_CHANGE = (
    "sampler.steps",
    "sampler.resolution",
    "sampler.guidance_scale",  # belongs to the model's weights, which the scale chooses
    "sampler.initial_noise_groups",
    "batch.*",
    "advantage.buffer",
    "advantage.min_count",
    "optimizer.learning_rate",
    "clip_range",  # grows as 1/sqrt(latent dimensions): log-probabilities are means over them
    "lora.rank",
    "lora.alpha",
    "precision",
    "epochs",
    "checkpoint_every",
    "evaluation.*",
)


class ModelSource(Record):
    """Where a base model comes from: a folder, or a repository with a pinned revision."""

    path: str
    revision: str | None = None


class RewardSource(Record):
    """Weights of a reward. `implementation` names the module where the key is another."""

    path: str
    options: dict[str, Any] = Field(default_factory=dict)
    implementation: str | None = None


class FeatureSource(Record):
    """One slot of the paper's quality tables: which features fill it at this scale."""

    features: str  # a module of pcpo/features
    output: str  # a key of what it returns
    metric: Literal["frechet", "inception_score", "diversity"]
    measured: str  # its name in tables


class Scale(Record):
    """A scale's own file: where things come from, and the sizes that it lays over experiments."""

    name: str
    note: str  # stands under every table of the scale
    models: dict[str, ModelSource]
    prompts: dict[str, str]
    rewards: dict[str, RewardSource]
    features: dict[str, str]  # module of pcpo/features -> folder of its weights
    quality: dict[str, FeatureSource]  # slot of the tables -> what is measured
    alignment: dict[str, dict[str, str]]  # prompt set -> column of Table 5 or 9 -> reward
    world: dict[str, Any] = Field(
        default_factory=dict
    )  # sizes of the demo world; empty where models are downloaded
    all: dict[str, Any] = Field(default_factory=dict)
    experiments: dict[str, dict[str, Any]] = Field(default_factory=dict)


def experiment_names() -> list[str]:
    return sorted(p.stem for p in (files.CONFIG / "experiments").glob("*.yaml"))


def load_scale(name: str) -> Scale:
    path = files.CONFIG / "scale" / f"{name}.yaml"
    data = load_yaml(path, "scale")
    if "extends" in data:  # a scale may start from another one and change sizes
        parent = load_yaml(files.CONFIG / "scale" / f"{data.pop('extends')}.yaml", "scale")
        data = merge(parent, data)
    data = json.loads(json.dumps(data).replace("{scale}", name))
    try:
        scale = Scale(name=name, **data)
    except ValidationError as error:
        raise ConfigError(explain(error, [(str(path), data)])) from error
    for block, where in [(scale.all, "all")] + [
        (sizes, f"experiments.{key}") for key, sizes in scale.experiments.items()
    ]:
        for key in leaves(block):
            allowed = any(
                key == may or (may.endswith(".*") and key.startswith(may[:-1]))
                for may in SCALE_MAY_CHANGE
            )
            if not allowed:
                raise ConfigError(
                    f"{path}: {where}.{key}: a scale may change sizes, not the method; "
                    f"set it in config/experiments/ or remove it (allowed: "
                    f"{', '.join(SCALE_MAY_CHANGE)})"
                )
    for key in scale.experiments:
        if key not in experiment_names():
            raise ConfigError(f"{path}: experiments.{key}: there is no such experiment")
    return scale
