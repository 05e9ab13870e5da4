"""Policies: thin adapters that give the four diffusers pipelines one interface.

The folder is the registry: the adapter of a model `sdxl` is pcpo/policies/sdxl.py, or the module
that `ADAPTERS` names for it. The same adapter loads the real weights and the demo's small ones.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import json
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcpo.records.digest import SHORT, files_of, of_parts

if TYPE_CHECKING:
    from pcpo.config import Experiment, ModelSource
    from pcpo.policies.base import Policy

ADAPTERS = {"sd14": "stable_diffusion", "sd15": "stable_diffusion", "sd35m": "stable_diffusion_3"}
TEXT = ("text_encoder", "tokenizer")  # prefixes of the components that encode prompts


def load(
    experiment: Experiment,
    source: ModelSource,
    *,
    train: bool = False,
    device: str = "cpu",
    embeddings: Path | None = None,
) -> Policy:
    """Load the experiment's base model; with `train`, its LoRA (or whole denoiser) is trainable.

    Every process of a sharded training calls this. `execution` of the experiment decides whether
    the model is compiled.

    embeddings: folder for prompt embeddings, with one subfolder per text encoder; None keeps them
    in memory. Raises FileNotFoundError if `source.path` is a missing local folder, and OSError or
    ValueError if it is incomplete or damaged.
    """
    from safetensors import SafetensorError

    from pcpo.policies.embeddings import PromptEmbeddings

    _check_folder(source)
    adapter = adapter_of(experiment.model)
    dtypes = adapter.component_dtypes(experiment.precision, experiment.lora)

    def open_pipeline(*without: str) -> Any:
        try:
            pipeline = adapter.pipeline_class.from_pretrained(
                source.path,
                revision=source.revision,
                use_safetensors=True,
                dtype=dtypes,
                **dict.fromkeys((*adapter.without, *without)),
            )
        except SafetensorError as error:
            raise ValueError(
                f"{source.path}: a file of the pipeline is damaged: {error}"
            ) from error
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    components = inspect.signature(adapter.pipeline_class).parameters
    if embeddings is not None:
        embeddings /= f"{digest(source.path, *TEXT)}_{experiment.precision}"
    policy: Policy = adapter(
        open_pipeline(*(name for name in components if name.startswith(TEXT))),
        lambda: open_pipeline(adapter.denoiser_name, "vae"),
        PromptEmbeddings(embeddings),
        **_settings(experiment, device),
    )
    return _placed(policy, experiment, train)


def of_pipeline(
    experiment: Experiment, pipeline: Any, *, train: bool = False, device: str = "cpu"
) -> Policy:
    """A policy of a diffusers pipeline in memory; its components are used, not copied.

    `experiment.model` is its `family`. With `train` an adapter is added to its denoiser.
    """
    from pcpo.policies.embeddings import PromptEmbeddings

    adapter = adapter_of(experiment.model)

    def without(*names: str) -> Any:
        part = copy.copy(pipeline)
        part.register_modules(**dict.fromkeys(names))
        return part

    policy: Policy = adapter(
        without(*(name for name in pipeline.components if name.startswith(TEXT))),
        lambda: without(adapter.denoiser_name, "vae"),
        PromptEmbeddings(),
        **_settings(experiment, device),
    )
    return _placed(policy, experiment, train)


def _settings(experiment: Experiment, device: str) -> dict[str, Any]:
    """The keyword arguments of an adapter."""
    return {
        "resolution": experiment.sampler.resolution,
        "precision": experiment.precision,
        "embedded_guidance": experiment.sampler.embedded_guidance,
        "execution": experiment.execution,
        "device": device,
    }


def _placed(policy: Policy, experiment: Experiment, train: bool) -> Policy:
    """The policy on its device; with `train`, ready for training."""
    from torch import distributed as dist

    if train:
        policy.make_trainable(experiment.lora)
    # A single process, on a machine with one GPU, has no others to share with.
    several = dist.is_initialized() and dist.get_world_size() > 1
    policy.place(sharded=train and several and experiment.execution.sharding == "fsdp")
    return policy


def family(pipeline_class: str) -> str:
    """The module of this folder whose adapter is of a diffusers pipeline class, by its name.

    Raises ValueError that lists the supported classes.
    """
    modules = [module.name for module in pkgutil.iter_modules(__path__)]
    found = {name: getattr(importlib.import_module(f"{__name__}.{name}"), "Adapter", None)
             for name in modules}  # fmt: skip
    names = {cls.pipeline_class.__name__: name for name, cls in found.items() if cls is not None}
    if pipeline_class not in names:
        raise ValueError(
            f"there is no adapter for {pipeline_class}; pcpo/policies has {', '.join(names)}: take "
            "a pipeline of one of these classes, or add an adapter (docs/extend.md)"
        )
    return names[pipeline_class]


def adapter_of(model: str) -> type[Policy]:
    """The adapter class of a base model. Raises ValueError if no module of this folder has one."""
    module = ADAPTERS.get(model, model)
    if not (Path(__file__).parent / f"{module}.py").exists():
        raise ValueError(
            f"model '{model}': there is no pcpo/policies/{module}.py; a new base model is a new "
            "file there with a class Adapter"
        )
    adapter: type[Policy] = importlib.import_module(f"{__name__}.{module}").Adapter
    return adapter


def _check_folder(source: ModelSource) -> None:
    path = Path(source.path)
    if not (path.is_absolute() or path.parts[0] in ("results", "data", ".", "..")):
        return  # a repository
    index = path / "model_index.json"
    if not index.exists():
        raise FileNotFoundError(f"{index} is missing: there is no pipeline in {path}")
    # diffusers loads a component of our own package (the demo's VAE) only after its import.
    for component in json.loads(index.read_text(encoding="utf-8")).values():
        if isinstance(component, list) and str(component[0]).startswith("pcpo."):
            importlib.import_module(component[0])


def digest(path: str | Path, *components: str) -> str:
    """Short digest of a pipeline's weights and configuration: names, sizes and heads of the files.

    components: prefixes of the names of the components that count; all if none is given. The first
    4 MB of each of the folder's `files_of` that pipelines load count: the head of a safetensors
    file names every tensor, and 4 MB contain enough of the values.
    """
    return of_parts(_heads(Path(path), components))[:SHORT]


def digest_of_pipeline(pipeline: Any) -> str:
    """The same for a pipeline in memory: configurations, and each tensor's name and first values.

    It differs from the `digest` of the folder that the pipeline was loaded from.
    """
    return of_parts(_tensors(pipeline))[:SHORT]


def _tensors(pipeline: Any) -> Iterator[bytes]:
    for name, component in sorted(pipeline.components.items()):
        if not hasattr(component, "state_dict"):
            continue
        yield f"{name} {component.config}".encode()
        for key, value in component.state_dict().items():
            head = value.flatten()[: 1 << 10].float().cpu().numpy().tobytes()
            yield f"{key} {tuple(value.shape)} {value.dtype} ".encode() + head


def _heads(folder: Path, components: tuple[str, ...]) -> Iterator[bytes]:
    for file in files_of(folder):
        name = file.relative_to(folder).as_posix()
        kind = file.suffix in (".safetensors", ".json", ".txt", ".model")
        if kind and (not components or name.startswith(components)):
            with file.open("rb") as handle:
                yield f"{name} {file.stat().st_size} ".encode() + handle.read(1 << 22)
