"""Align a model of one's own: the trainer of the pipeline, on a pipeline and a reward in memory.

`pcpo.align` builds an `Experiment` in memory and runs `pcpo.training.loop.train` on it, as
`python -m pcpo.cli.train` does. So it resumes, locks its folder and writes its frames alike.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from pcpo import policies
from pcpo.compared import COMPARED
from pcpo.config import ConfigError, Execution, Experiment, ModelSource, load_arm, load_experiment
from pcpo.config.files import explain
from pcpo.policies.base import Policy
from pcpo.prompts.draws import derive_seed
from pcpo.prompts.file import check
from pcpo.records import frame_file, frames, provenance
from pcpo.records.digest import SHORT, of_text
from pcpo.rewards._base import checked
from pcpo.training.identity import configuration
from pcpo.training.loop import train
from pcpo.training.model_card import Base, card, of_name
from pcpo.training.observer import Observer
from pcpo.training.processes import Processes
from pcpo.training.run import Run
from pcpo.training.run_folder import RunFolder, read_manifest
from pcpo.training.trained_code import code_digests

if TYPE_CHECKING:
    import pandas as pd
    from diffusers import DiffusionPipeline

# (images uint8 (B, 3, H, W), their B prompts) -> B numbers
RewardFunction = Callable[[Tensor, list[str]], Any]

NAME = "own"  # of the experiment and its scale in records
# The configuration of Table 7 whose method is used, by family of pipelines; at scale `pilot`, which
# has the sizes for one GPU.
METHOD = {"stable_diffusion": 2, "stable_diffusion_3": 9, "flux": 6}
# Keys that `align` sets itself, or that need the files of a scale.
NOT_SETTINGS = (
    *("name", "number", "scale", "description", "model", "prompts", "reward", "epochs"),
    *("validation", "alignment", "alignment_checkpoint", "arms", "compared", "evaluation"),
)
SAVE_EVERY = 5  # epochs


@dataclass(frozen=True)
class Aligned:
    """A complete alignment.

    folder: of the run. checkpoints: epoch -> folder, for `pipeline.load_lora_weights(folder)`.
    updates: one row per gradient update; `pcpo.records.frames.UPDATES` explains the columns.
    """

    folder: Path
    checkpoints: Mapping[int, Path]
    updates: pd.DataFrame

    @property
    def checkpoint(self) -> Path:
        """The folder of the last checkpoint."""
        return self.checkpoints[max(self.checkpoints)]

    @property
    def rewards(self) -> list[float]:
        """Mean reward of the images of each epoch, in order."""
        return [float(mean) for mean in self.updates.groupby("epoch")["reward_mean"].first()]


def align(
    *,
    pipeline: DiffusionPipeline | str | Path,
    reward: RewardFunction,
    prompts: Sequence[str],
    out: str | Path,
    credit: str = "pcpo",
    epochs: int = 20,
    seed: int = 0,
    device: str | None = None,
    settings: Mapping[str, Any] | None = None,
    log: Callable[[str], None] = print,
) -> Aligned:
    """Fine-tune a LoRA adapter of a text-to-image pipeline towards a reward.

    The same call again returns at once if the run is complete. If it was stopped it resumes after
    its last saved epoch, and with more `epochs` it goes on. A call with other arguments sets the
    run in `out` aside, in `set_aside/` beside it, and starts over; `python -m pcpo.cli.aside
    --restore FOLDER` puts it back.

    Args:
        pipeline: a diffusers pipeline of Stable Diffusion 1.x, SD3 or FLUX, or the folder of one. A
            folder takes less memory, because its text encoders are closed after use. The adapter
            is removed from a pipeline in memory at the end.
        reward: called with images uint8 (B, 3, H, W) on the CPU and their B prompts; returns B
            finite numbers (tensor, array or list), higher is better. Its code is not compared when
            a run resumes: give a changed reward another `out`.
        prompts: the texts to train on.
        out: folder of the run: checkpoints, resume state, history, frames.
        credit: an arm of config/arms.yaml, such as `pcpo` or `baseline`.
        epochs: rollouts, each with its gradient updates.
        seed: of noise, prompts and the adapter's initial weights.
        device: `cpu` or `cuda`. By default that of the pipeline; for a folder, cuda where there is
            one.
        settings: keys of an experiment as in config/experiments/, e.g. `{"sampler": {"steps": 20},
            "batch": {"micro_batch": 2}}`. The others are those of configuration 2 (Stable
            Diffusion), 9 (SD3) or 6 (FLUX) at scale `pilot`, not compiled, in fp32 on the CPU.
        log: gets a line on each epoch, and on resuming.

    Returns:
        Checkpoints and logs of the run.

    Raises:
        ValueError: an argument that cannot be used, a setting (`ConfigError` names its key), or a
            reward of another shape than (B,) or with a value that is not finite.
        FileNotFoundError: the folder has no pipeline.
        InterruptedError: after SIGTERM, once the epoch's state is saved.
    """
    texts = _texts(prompts)
    folder = None if hasattr(pipeline, "components") else Path(str(pipeline)).absolute()
    family = policies.family(_class_name(pipeline if folder is None else folder))
    processes = Processes.start(device or _device(pipeline if folder is None else None))
    precision = _precision(pipeline, family) if folder is None else None
    if processes.device == "cpu":
        precision = precision or "fp32"
    experiment = experiment_of(family, len(texts), credit, epochs, precision, settings or {})
    if folder is None and experiment.lora is None:
        raise ValueError(
            "settings: lora: null would change all weights of the pipeline in memory; give the "
            "folder of the pipeline instead"
        )
    arm = load_arm(credit)
    base = policies.digest(folder) if folder else policies.digest_of_pipeline(pipeline)
    label = getattr(reward, "__name__", type(reward).__name__)
    identity = configuration(experiment, arm, seed) | {
        "prompts": of_text("\n".join(texts))[:SHORT],
        "model": base,
        "reward": label,
    }
    about: dict[str, str | int] = {"experiment": NAME, "arm": arm.name, "seed": seed, "scale": NAME}
    about |= {"model": experiment.model, "base": base}
    origin = provenance.origin() | {"code": code_digests(), "sizes": experiment.sizes}
    # The card names the reward and, of a pipeline in memory, the repository that it came from.
    named = experiment.model_copy(
        update={"reward": experiment.reward.model_copy(update={"name": label})}
    )
    repository = of_name(getattr(pipeline, "name_or_path", None)) if folder is None else Base()
    run_folder = RunFolder(Path(out), identity, about, origin, card(named, arm, seed, repository))
    meet = processes.meeting()
    say = log if processes.is_main else _silent

    def report(row: dict[str, Any]) -> None:
        if row["update"] == experiment.gradient_updates:
            say(
                f"epoch {row['epoch']} of {epochs}: reward {row['reward_mean']:.5g} "
                f"clip {row['clip_fraction']:.4f}"
            )

    with run_folder.lock(say) if processes.is_main else nullcontext():
        meet()  # the others wait for the lock as well
        with _policy(experiment, folder or pipeline, seed, processes.device) as policy:
            scored = _Scored(label, reward)
            run = Run(experiment, arm, seed, policy, scored, texts, processes=processes)
            train(run, run_folder, [Observer(update=report)], say)
    manifest = read_manifest(Path(out) / "checkpoints.csv")
    updates = frame_file.read(Path(out) / "updates.parquet", frames.UPDATES)
    return Aligned(Path(out), manifest, updates)


def experiment_of(
    family: str,
    prompts: int,
    credit: str,
    epochs: int,
    precision: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Experiment:
    """The experiment of `align`: `METHOD` at scale pilot, with these values and settings.

    prompts: how many there are. precision: None takes the method's. Raises ConfigError with the
    key of a setting that cannot be used.
    """
    settings = dict(settings or {})
    for key in NOT_SETTINGS:
        if key in settings:
            raise ConfigError(f"settings: {key}: it cannot be set here")
    method = load_experiment(METHOD[family], "pilot")
    own: dict[str, Any] = {
        "name": NAME,
        "number": 0,
        "scale": NAME,
        "description": "a model of one's own",
        "model": family,
        "prompts": NAME,
        "reward": {"name": NAME},
        "validation": None,
        "alignment": (),
        "alignment_checkpoint": None,
        "arms": tuple(dict.fromkeys((*COMPARED, credit))),
        "compared": COMPARED,
        "epochs": epochs,
        "checkpoint_every": max(1, min(SAVE_EVERY, epochs)),
        "execution": Execution().model_dump(),
    }
    if precision is not None:
        own["precision"] = precision
    own["batch"] = _groups(method, prompts, settings.get("batch"))
    merged = _merged(_merged(method.model_dump(), own), settings)
    # A method's options for what `own` replaces as a whole.
    merged["reward"] = own["reward"]
    try:
        return Experiment(**merged)
    except ValidationError as error:
        raise ConfigError(explain(error, [("align", own), ("settings", settings)])) from error


def _groups(method: Experiment, prompts: int, given: Any) -> dict[str, int]:
    """As many prompts in an iteration as the method has, or as there are; none if they are given.

    given: the settings of the batch.
    """
    given = given if isinstance(given, Mapping) else {}
    images = given.get("images_per_iteration", method.images_per_iteration)
    most = method.batch.prompts_per_iteration
    chosen = {"prompts_per_iteration", "images_per_prompt"} & {*given}
    if most is None or chosen or type(images) is not int or images < 1:
        return {}
    count = max(n for n in range(1, min(most, prompts) + 1) if images % n == 0)
    return {"prompts_per_iteration": count, "images_per_prompt": images // count}


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` merged into `base`, mapping by mapping."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(old, value) if both else value  # type: ignore[arg-type]
    return merged


class _Scored:
    """A reward function whose results are checked: float64 `(B,)` on the CPU."""

    def __init__(self, name: str, function: RewardFunction) -> None:
        self.name, self.function = name, function

    @torch.no_grad()
    def __call__(self, images: Tensor, prompts: Sequence[str]) -> Tensor:
        found = self.function(images, list(prompts))
        scores = found if isinstance(found, Tensor) else torch.as_tensor(np.asarray(found, float))
        checked(self.name, scores, prompts)
        return scores.detach().double().cpu()


@contextmanager
def _policy(experiment: Experiment, source: Any, seed: int, device: str) -> Iterator[Policy]:
    """The policy to train, from a folder or of a pipeline.

    A pipeline loses the adapter afterwards, and its networks go back to where they were.
    """
    if isinstance(source, Path):
        path = ModelSource(path=str(source))
        with _adapter_seed(seed):
            policy = policies.load(experiment, path, train=True, device=device)
        yield policy
        return
    before = _devices(source)
    try:
        with _adapter_seed(seed):
            policy = policies.of_pipeline(experiment, source, train=True, device=device)
        try:
            yield policy
        finally:
            policy.pipeline.unload_lora_weights()
            policy.denoiser.requires_grad_(False)
    finally:
        now = _devices(source)
        for name, place in before.items():
            if now[name] != place:
                getattr(source, name).to(place)


@contextmanager
def _adapter_seed(seed: int) -> Iterator[None]:
    """The adapter's first weights are a run's; the caller's random numbers are not consumed."""
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed("adapter", seed))
        yield


def _devices(pipeline: Any) -> dict[str, torch.device]:
    """Where each network of a pipeline is."""
    networks = {k: v for k, v in pipeline.components.items() if isinstance(v, torch.nn.Module)}
    first = {name: next(network.parameters(), None) for name, network in networks.items()}
    return {name: weight.device for name, weight in first.items() if weight is not None}


def _silent(message: str) -> None:
    """The log of a process that is not the first of its run."""


# --- what the arguments are --------------------------------------------------------------------


def _texts(prompts: Sequence[str]) -> list[str]:
    if isinstance(prompts, str) or not len(prompts):
        raise ValueError("prompts: give a list of one text or more, not one text or none")
    texts = list(prompts)
    if wrong := [text for text in texts if not isinstance(text, str)]:
        raise ValueError(f"prompts: {wrong[0]!r} is no text")
    check(texts, "prompts: number")
    return texts


def _class_name(pipeline: Any) -> str:
    """The name of a pipeline's class, in memory or in a folder."""
    if not isinstance(pipeline, Path):
        return type(pipeline).__name__
    index = pipeline / "model_index.json"
    if not index.is_file():
        raise FileNotFoundError(
            f"{index} is missing: give the folder of a diffusers pipeline, or a pipeline that "
            "DiffusionPipeline.from_pretrained has loaded"
        )
    return str(json.loads(index.read_text(encoding="utf-8")).get("_class_name"))


def _device(pipeline: Any) -> str:
    if pipeline is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    return str(pipeline.device)


PRECISIONS = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}


def _precision(pipeline: Any, family: str) -> str:
    """By the dtype of the denoiser. Raises ValueError for one with an adapter or another dtype."""
    name = policies.adapter_of(family).denoiser_name
    denoiser = getattr(pipeline, name)
    if getattr(denoiser, "peft_config", None):
        raise ValueError(
            f"the pipeline's {name} has an adapter: fuse it (fuse_lora) or unload it "
            "(unload_lora_weights) first"
        )
    if denoiser.dtype not in PRECISIONS:
        raise ValueError(f"the pipeline's {name} is in {denoiser.dtype}; load it in float32, "
                         "float16 or bfloat16")  # fmt: skip
    return PRECISIONS[denoiser.dtype]
