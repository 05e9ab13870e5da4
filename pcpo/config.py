"""Experiments: one YAML file is one column of the paper's Table 7, a scale lays sizes over it.

An experiment is resolved from four layers, later ones win:

    config/defaults.yaml `common`, then the block of its algorithm   values that Table 7 lacks
    config/experiments/<name>.yaml                                    the column of Table 7
    config/scale/<scale>.yaml `all`                                   sizes of the scale
    config/scale/<scale>.yaml `experiments.<name>`                    sizes of this experiment there

A scale may change sizes and the numbers that depend on them (`SCALE_MAY_CHANGE`), never the method.
This module imports the standard library, pydantic and yaml only: a Snakefile parses it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

CONFIG = Path(__file__).resolve().parent.parent / "config"

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


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names the file and the key."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Reward(_Record):
    name: str
    # Constructor options of the reward class that belong to the method, e.g. the training scale.
    options: dict[str, Any] = {}


class Sampler(_Record):
    kind: Literal["ddim", "dance_sde", "flow_grpo_sde"]
    steps: int = Field(gt=1)
    noise_level: float = Field(gt=0)  # eta of DDIM and DanceGRPO, a of Flow-GRPO
    guidance_scale: float = Field(ge=1)  # classifier-free guidance; 1 is off
    embedded_guidance: float | None = None  # FLUX.1-dev's distilled guidance input
    resolution: int = Field(gt=0)  # pixels
    shift: float | None = None  # of the flow's timesteps; None takes the scheduler's own
    initial_noise_groups: int = 0  # that many initial noises shared over an iteration; 0: all own
    storage_dtype: Literal["float32", "float16", "bfloat16"]  # in which the original keeps latents


class Batch(_Record):
    prompts_per_iteration: int | None = None  # None: one random prompt per image, as DDPO
    images_per_prompt: int | None = None
    images_per_iteration: int = Field(gt=0)
    gradient_updates: int = Field(gt=0)
    micro_batch: int = Field(gt=0)  # images of one forward, in the rollout and in the update

    @model_validator(mode="after")
    def _arithmetic(self) -> Batch:
        if (self.prompts_per_iteration is None) != (self.images_per_prompt is None):
            raise ValueError("prompts_per_iteration and images_per_prompt go together")
        if self.prompts_per_iteration is not None and self.images_per_prompt is not None:
            product = self.prompts_per_iteration * self.images_per_prompt
            if product != self.images_per_iteration:
                raise ValueError(
                    f"images_per_iteration is {self.images_per_iteration}, but "
                    f"{self.prompts_per_iteration} prompts x {self.images_per_prompt} images "
                    f"are {product}"
                )
        if self.images_per_iteration % self.gradient_updates:
            raise ValueError(
                f"images_per_iteration ({self.images_per_iteration}) does not divide into "
                f"{self.gradient_updates} gradient_updates"
            )
        if (self.images_per_iteration // self.gradient_updates) % self.micro_batch:
            raise ValueError(
                f"an update of {self.images_per_iteration // self.gradient_updates} images does "
                f"not divide into micro-batches of {self.micro_batch} (micro_batch)"
            )
        return self


class Advantage(_Record):
    kind: Literal["per_prompt_running", "per_group", "group_mean_global_std"]
    epsilon: float
    clip: float = Field(gt=0)
    buffer: int = 32  # per_prompt_running only: rewards remembered per prompt
    min_count: int = 16  # below it, the whole batch's mean and std are used


class Timesteps(_Record):
    skip_last: bool  # DanceGRPO and Flow-GRPO never train the last step
    fraction: float = Field(gt=0, le=1)  # share of the trainable steps drawn for each image
    order: Literal["shuffled", "sequential"]  # sequential: no draw, fraction must be 1


class Optimizer(_Record):
    learning_rate: float = Field(gt=0)
    betas: tuple[float, float]
    weight_decay: float
    epsilon: float
    max_grad_norm: float = Field(gt=0)


class LoRA(_Record):
    rank: int = Field(gt=0)
    alpha: int = Field(gt=0)
    init: Literal["gaussian", "kaiming"]
    target_modules: tuple[str, ...]


class Evaluation(_Record):
    prompts: int = Field(gt=0)  # at most so many of the experiment's prompts
    seeds: int = Field(gt=1)  # images per prompt
    validation_seeds: int = Field(gt=1)  # images per prompt that selection scores
    batch: int = Field(gt=0)
    # Levels of the training reward at which runs are compared (Table 10), in rising order, or
    # fractions of the range that both arms cover, where no level is published for the scale.
    reward_levels: tuple[float, ...] = ()
    level_fractions: tuple[float, ...] = ()
    matched_level: float | None = None  # level of Tables 2-4; None: the highest
    tolerance: float = Field(ge=0)  # |difference of validation rewards| that counts as matched
    candidate_window: int = 10  # epochs on either side of PCPO's crossing that are screened
    alignment_images: int = 1  # images per prompt for Tables 5 and 9


class Arm(_Record):
    """What an arm changes: the objective, how the ratio is computed, and the credit schedule."""

    name: str
    description: str
    objective: Literal["ppo_clip", "log_hinge"]
    log_ratio: Literal["sampler", "matching"]
    credit: Literal["native", "proportional", "reweight", "uniform", "inverse_square"]
    storage: Literal["original", "float32"]
    timestep_fraction: float | None = None  # overrides the experiment's

    @model_validator(mode="after")
    def _consistent(self) -> Arm:
        if self.log_ratio == "sampler" and self.credit != "native":
            raise ValueError("a credit other than native needs log_ratio: matching")
        return self

    def applies_to(self, sampler_kind: str) -> bool:
        """`uniform` is a flow arm; `reweight` and `inverse_square` concern DDIM's variance."""
        if self.credit == "uniform":
            return sampler_kind != "ddim"
        if self.credit in ("reweight", "inverse_square"):
            return sampler_kind == "ddim"
        return True


class Experiment(_Record):
    """One column of Table 7, resolved at a scale."""

    name: str
    number: int
    scale: str
    description: str
    algorithm: Literal["ddpo", "dancegrpo", "flow_grpo"]
    model: Literal["sd14", "sd15", "sd35m", "flux"]
    prompts: str
    reward: Reward
    sampler: Sampler
    batch: Batch
    advantage: Advantage
    timesteps: Timesteps
    optimizer: Optimizer
    lora: LoRA | None = None  # None: full fine-tuning
    clip_range: float = Field(gt=0)
    kl_beta: float | None = None
    precision: Literal["fp32", "fp16", "bf16"]
    epochs: int = Field(gt=0)
    checkpoint_every: int = Field(gt=0)
    evaluation: Evaluation
    alignment: tuple[str, ...] = ()  # prompt sets of Tables 5 and 9
    alignment_checkpoint: Literal["selected", "last"] = "selected"
    arms: tuple[str, ...]

    @field_validator("arms")
    @classmethod
    def _known_arms(cls, arms: tuple[str, ...]) -> tuple[str, ...]:
        for arm in arms:
            load_arm(arm)
        return arms

    @model_validator(mode="after")
    def _method(self) -> Experiment:
        for arm in self.arms:
            if not load_arm(arm).applies_to(self.sampler.kind):
                raise ValueError(f"arms: '{arm}' makes no sense with sampler {self.sampler.kind}")
        if self.timesteps.order == "sequential" and self.timesteps.fraction != 1:
            raise ValueError("timesteps.order: sequential trains every step; fraction must be 1")
        grouped = self.advantage.kind != "per_prompt_running"
        if grouped and self.batch.prompts_per_iteration is None:
            raise ValueError(f"advantage.kind: {self.advantage.kind} needs prompts_per_iteration")
        if self.kl_beta is not None and self.lora is None:
            raise ValueError("kl_beta needs LoRA: the reference model is the adapter switched off")
        if self.checkpoint_every > self.epochs:
            raise ValueError(
                f"checkpoint_every ({self.checkpoint_every}) is more than epochs ({self.epochs})"
            )
        return self

    @property
    def images_per_iteration(self) -> int:
        return self.batch.images_per_iteration

    @property
    def gradient_updates(self) -> int:
        return self.batch.gradient_updates

    @property
    def reward_levels(self) -> tuple[float, ...]:
        return self.evaluation.reward_levels

    @property
    def base_images(self) -> str:
        """Name of the base model's image set; experiments that sample alike share one."""
        s, e = self.sampler, self.evaluation
        return (
            f"{self.model}_{self.prompts}_{s.kind}{s.steps}_cfg{s.guidance_scale:g}"
            f"_{e.prompts}x{e.seeds}"
        )

    def digest(self, *sections: str) -> str:
        """Short hash of the experiment, or of the named fields alone."""
        data = self.model_dump(mode="json")
        if sections:
            data = {key: data[key] for key in sections}
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


# The fields that a trained run depends on; `arms` and `evaluation` do not belong to it.
TRAINING_FIELDS = (
    *("name", "scale", "algorithm", "model", "prompts", "reward", "sampler", "batch"),
    *("advantage", "timesteps", "optimizer", "lora", "clip_range", "kl_beta", "precision"),
    *("epochs", "checkpoint_every"),
)


class ModelSource(_Record):
    """Where a base model comes from: a folder, or a repository with a pinned revision."""

    path: str
    revision: str | None = None


class RewardSource(_Record):
    """Weights of a reward. `implementation` names the module where the key is another."""

    path: str
    options: dict[str, Any] = {}
    implementation: str | None = None


class FeatureSource(_Record):
    """One slot of the paper's quality tables: which features fill it at this scale."""

    features: str  # a module of pcpo/features
    output: str  # a key of what it returns
    metric: Literal["frechet", "inception_score", "diversity"]
    measured: str  # its name in tables


class Scale(_Record):
    """A scale's own file: where things come from, and the sizes that it lays over experiments."""

    name: str
    note: str  # stands under every table of the scale
    models: dict[str, ModelSource]
    prompts: dict[str, str]
    rewards: dict[str, RewardSource]
    features: dict[str, str]  # module of pcpo/features -> folder of its weights
    quality: dict[str, FeatureSource]  # slot of the tables -> what is measured
    alignment: dict[str, dict[str, str]]  # prompt set -> column of Table 5 or 9 -> reward
    world: dict[str, Any] = {}  # sizes of the demo world; empty where models are downloaded
    all: dict[str, Any] = {}
    experiments: dict[str, dict[str, Any]] = {}


def _load_yaml(path: Path, what: str) -> dict[str, Any]:
    if not path.exists():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise ConfigError(f"unknown {what} '{path.stem}': no file {path}; known: {known}")
    try:
        data = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected keys and values at the top level")
    return data


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = (
            _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return merged


def _leaves(data: Mapping[str, Any], prefix: str = "") -> list[str]:
    keys: list[str] = []
    for key, value in data.items():
        dotted = f"{prefix}{key}"
        keys += _leaves(value, dotted + ".") if isinstance(value, dict) else [dotted]
    return keys


def _contains(data: Any, location: tuple[Any, ...]) -> bool:
    for key in location:
        if not isinstance(data, dict) or key not in data:
            return False
        data = data[key]
    return True


def _explain(
    error: ValidationError, layers: list[tuple[str, dict[str, Any]]], main: str | None = None
) -> str:
    """One line per mistake, with the file of the layer that set the key last.

    `main` is named where a mistake concerns several keys together.
    """
    lines = []
    for item in error.errors():
        location = item["loc"]
        source = next(
            (
                name
                for n in range(len(location), 0, -1)
                for name, layer in reversed(layers)
                if _contains(layer, location[:n])
            ),
            main or layers[-1][0],
        )
        key = ".".join(map(str, location))
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "unknown key"
        elif item["type"] == "missing":
            message = "this key is missing"
        else:
            message += "" if isinstance(item["input"], dict) else f", got {item['input']!r}"
        lines.append(f"{source}: {key + ': ' if key else ''}{message}")
    return "\n".join(lines)


@cache
def _arms_file() -> dict[str, Any]:
    return _load_yaml(CONFIG / "arms.yaml", "file")


def load_arm(name: str) -> Arm:
    """The arm of config/arms.yaml; ConfigError lists the known ones."""
    arms = _arms_file()
    if name not in arms:
        raise ConfigError(f"{CONFIG / 'arms.yaml'}: unknown arm '{name}'; known: {', '.join(arms)}")
    try:
        return Arm(name=name, **arms[name])
    except ValidationError as error:
        raise ConfigError(
            _explain(error, [(f"{CONFIG / 'arms.yaml'}: {name}", arms[name])])
        ) from error


def arm_names() -> list[str]:
    return list(_arms_file())


def experiment_names() -> list[str]:
    return sorted(p.stem for p in (CONFIG / "experiments").glob("*.yaml"))


def load_scale(name: str) -> Scale:
    path = CONFIG / "scale" / f"{name}.yaml"
    data = _load_yaml(path, "scale")
    if "extends" in data:  # a scale may start from another one and change sizes
        parent = _load_yaml(CONFIG / "scale" / f"{data.pop('extends')}.yaml", "scale")
        data = _merge(parent, data)
    data = json.loads(json.dumps(data).replace("{scale}", name))
    try:
        scale = Scale(name=name, **data)
    except ValidationError as error:
        raise ConfigError(_explain(error, [(str(path), data)])) from error
    for block, where in [(scale.all, "all")] + [
        (sizes, f"experiments.{key}") for key, sizes in scale.experiments.items()
    ]:
        for key in _leaves(block):
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


def load_experiment(experiment: int | str, scale: str = "paper") -> Experiment:
    """Resolve an experiment by number (1-10) or name at a scale.

    Raises ConfigError with the file and the key of each mistake.
    """
    names = experiment_names()
    matches = [
        name
        for name in names
        if name == experiment
        or (str(experiment).isdigit() and name.split("_")[0] == f"{int(experiment):02d}")
    ]
    if not matches:
        raise ConfigError(
            f"unknown experiment '{experiment}' in {CONFIG / 'experiments'}; "
            f"known: {', '.join(names)}"
        )
    name = matches[0]
    defaults_path = CONFIG / "defaults.yaml"
    defaults = _load_yaml(defaults_path, "file")
    path = CONFIG / "experiments" / f"{name}.yaml"
    own = _load_yaml(path, "experiment")
    algorithm = own.get("algorithm")
    if algorithm not in defaults:
        known = ", ".join(key for key in defaults if key != "common")
        raise ConfigError(f"{path}: algorithm: unknown '{algorithm}'; known: {known}")
    sizes = load_scale(scale)
    scale_path = str(CONFIG / "scale" / f"{scale}.yaml")
    layers: list[tuple[str, dict[str, Any]]] = [
        (f"{defaults_path} (common)", defaults["common"]),
        (f"{defaults_path} ({algorithm})", defaults[algorithm]),
        (str(path), own),
        (f"{scale_path} (all)", sizes.all),
        (f"{scale_path} (experiments.{name})", sizes.experiments.get(name, {})),
    ]
    merged: dict[str, Any] = {"name": name, "number": int(name.split("_")[0]), "scale": scale}
    for _, layer in layers:
        merged = _merge(merged, layer)
    if own.get("lora", "absent") is None:
        merged["lora"] = None  # full fine-tuning, whatever a scale says of ranks
    try:
        resolved = Experiment(**merged)
    except ValidationError as error:
        raise ConfigError(_explain(error, layers, str(path))) from error
    sources: list[tuple[str, Mapping[str, Any], str]] = [
        (resolved.model, sizes.models, "models"),
        (resolved.reward.name, sizes.rewards, "rewards"),
        *((p, sizes.prompts, "prompts") for p in (resolved.prompts, *resolved.alignment)),
    ]
    for needed, table, key in sources:
        if needed not in table:
            raise ConfigError(
                f"{path}: '{needed}' is unknown at scale {scale}: {scale_path} has no "
                f"{key}.{needed}; known: {', '.join(table)}"
            )
    return resolved


def load_experiments(scale: str = "paper") -> list[Experiment]:
    """All experiments of config/experiments, resolved at `scale`, in the paper's order."""
    return [load_experiment(name, scale) for name in experiment_names()]
