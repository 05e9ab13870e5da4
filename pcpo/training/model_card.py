"""README.md of a checkpoint: a model card as Hugging Face reads it, so that weights can be shared.

The text is a function of the configuration and the epoch: it has no dates, paths of a machine or
results, and a resumed run writes the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import yaml

from pcpo.assets.table import rows_of
from pcpo.config import Arm, Experiment, ModelSource
from pcpo.markdown import escaped
from pcpo.policies import adapter_of

FILE = "README.md"
DATA = "data"  # folder of the published models of config/assets.csv
# config/assets.csv -> the hub's own name; others have the name "other" there.
LICENCES = {"CreativeML OpenRAIL-M": "creativeml-openrail-m"}
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Base:
    """A base model, as far as it is known: its repository on the hub, its commit, its licence."""

    repository: str = ""
    revision: str = ""
    licence: str = ""


def published(source: ModelSource) -> Base:
    """The base model of a scale: an asset of config/assets.csv, a repository, or unknown."""
    parts = PurePath(source.path).parts
    if parts[:1] == (DATA,):
        first = rows_of(["/".join(parts[1:])])["/".join(parts[1:])][0]
        return Base(first.repository, first.revision, first.licence)
    if len(parts) == 2 and parts[0] not in ("results", ".", "..", "/"):
        return of_name(source.path, source.revision or "")
    return Base()


def of_name(name: object, revision: str = "") -> Base:
    """The base model whose repository has this name; unknown where it is no name of one."""
    known = isinstance(name, str) and REPOSITORY.fullmatch(name)
    return Base(name, revision) if isinstance(name, str) and known else Base()


def card(experiment: Experiment, arm: Arm, seed: int, base: Base) -> Callable[[int], str]:
    """Epoch -> the text of the checkpoint's README.md."""

    def text(epoch: int) -> str:
        return (
            f"{_header(experiment, base)}\n# {_title(experiment, base)}\n\n"
            f"{_INTRODUCTION}\n\n{_facts(experiment, arm, seed, base, epoch)}\n\n"
            f"{_loading(experiment, base)}\n\n{_licence(base)}\n"
        )

    return text


_INTRODUCTION = (
    "Weights of a text-to-image model that was fine-tuned by reinforcement learning towards a "
    "reward, with the package `pcpo`, a reproduction of Proportionate Credit Policy Optimization "
    "([arXiv 2509.25774](https://arxiv.org/abs/2509.25774))."
)


def _title(experiment: Experiment, base: Base) -> str:
    model = base.repository.rpartition("/")[2] or experiment.model
    return escaped(f"{model} aligned with {experiment.reward.name}")


def _header(experiment: Experiment, base: Base) -> str:
    adapter = experiment.lora is not None
    values: dict[str, Any] = {}
    if base.repository:
        values["base_model"] = base.repository
        values["base_model_relation"] = "adapter" if adapter else "finetune"
    if base.licence in LICENCES:
        values["license"] = LICENCES[base.licence]
    elif base.licence:
        short = re.sub(r"[^a-z0-9.]+", "-", base.licence.lower()).strip("-")
        values |= {"license": "other", "license_name": short}
    values |= {"library_name": "diffusers", "pipeline_tag": "text-to-image"}
    values["tags"] = ["diffusers", "pcpo", "reinforcement-learning", experiment.algorithm]
    values["tags"] += ["lora"] if adapter else []
    return f"---\n{yaml.safe_dump(values, sort_keys=False)}---\n"


def _facts(experiment: Experiment, arm: Arm, seed: int, base: Base, epoch: int) -> str:
    lora, sampler = experiment.lora, experiment.sampler
    denoiser = adapter_of(experiment.model).denoiser_name
    weights = f"all of the {denoiser}" if lora is None else f"LoRA of the {denoiser}"
    if lora is not None:
        weights += f", rank {lora.rank}; the factor alpha / rank is multiplied into it"
    if experiment.ema is not None:
        weights += "; a moving average over the training"
    revision = f", revision {base.revision}" if base.revision else ""
    rows = {
        "base model": escaped(base.repository or experiment.model) + revision,
        "reward": escaped(experiment.reward.name),
        "arm": f"{arm.name}: {escaped(arm.description)}",
        "epoch": str(epoch),
        "experiment": f"{experiment.name} ({escaped(experiment.description)}), "
        f"scale {experiment.scale}, training seed {seed}",
        "weights": weights,
        "trained with": f"{experiment.algorithm}, {sampler.kind}, {sampler.steps} steps, guidance "
        f"{_guidance(experiment):g}, {sampler.resolution} x {sampler.resolution} pixels, "
        f"{experiment.precision}",
    }
    lines = [f"| {key} | {value} |" for key, value in rows.items()]
    return "\n".join(["| | |", "| :-- | :-- |", *lines])


def _guidance(experiment: Experiment) -> float:
    """What a pipeline calls guidance_scale: FLUX takes it as an input of the model."""
    embedded = experiment.sampler.embedded_guidance
    return experiment.sampler.guidance_scale if embedded is None else embedded


def _loading(experiment: Experiment, base: Base) -> str:
    """The code that loads the weights into a diffusers pipeline, and makes an image."""
    adapter, sampler = adapter_of(experiment.model), experiment.sampler
    pipeline, part = adapter.pipeline_class.__name__, adapter.denoiser_name
    if experiment.lora is not None:
        imported = pipeline
        load = f"pipeline = {pipeline}.from_pretrained(base)\npipeline.load_lora_weights(weights)"
    else:
        denoiser = adapter.pipeline_class.__init__.__annotations__[part].__name__
        imported = f"{pipeline}, {denoiser}"
        load = (
            f"{part} = {denoiser}.from_pretrained(weights)\n"
            f"pipeline = {pipeline}.from_pretrained(base, {part}={part})"
        )
    code = f"""\
from diffusers import {imported}

base = "{base.repository or "BASE"}"  # the base model: its repository, or a folder
weights = "."  # the folder of this file, or its repository
{load}
image = pipeline(
    "a red circle",
    num_inference_steps={sampler.steps},
    guidance_scale={_guidance(experiment):g},
    height={sampler.resolution},
    width={sampler.resolution},
).images[0]
"""
    return f"## Load it\n\n```python\n{code}```"


def _licence(base: Base) -> str:
    if not base.licence:
        return (
            "## Licence\n\nThe licence of the base model is not recorded here. It holds for "
            "weights that are derived from it: read it before you share them."
        )
    return (
        f"## Licence\n\nThe base model is under the {escaped(base.licence)}. Its terms hold for "
        "weights that are derived from it: read them before you share these."
    )
