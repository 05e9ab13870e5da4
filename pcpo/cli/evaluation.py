"""What the commands after training share: a run's prompts, policy and reward, from a scale."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pcpo import policies, rewards, samplers
from pcpo.config import Experiment, Scale, load_arm
from pcpo.config.settings import OWN
from pcpo.credit import arm_sampler
from pcpo.evaluation.generation import generate
from pcpo.paths import Paths
from pcpo.policies.base import Policy
from pcpo.prompts.draws import evaluation_prompts
from pcpo.prompts.file import read_prompts
from pcpo.rewards import Reward
from pcpo.samplers import Sampler
from pcpo.training.processes import Processes
from pcpo.training.run_folder import read_manifest, verify_checkpoint


def load_policy(experiment: Experiment, scale: Scale, device: str) -> tuple[Policy, Sampler]:
    """The base model, and the experiment's native sampler, by which its images are made."""
    source = scale.models[experiment.model]
    policy = policies.load(experiment, source, device=device, embeddings=embeddings(scale))
    sampler = samplers.build(experiment.sampler, policy.scheduler_config)
    return policy, sampler.to(policy.device)


def sampler_of(
    arm: str, evaluation_sampler: str, native: Sampler, experiment: Experiment, policy: Policy
) -> Sampler:
    """The sampler of an arm's evaluation images: `native`, or with "own" that of its training.

    The base model's is native always: it is what all are measured against. Raises ValueError for
    an arm whose steps take the reference model's prediction too.
    """
    if evaluation_sampler != OWN or arm == "base":
        return native
    own, schedule = arm_sampler(experiment, load_arm(arm), policy.scheduler_config)
    if schedule.moves_prediction:
        raise ValueError(
            f"{experiment.name}: compared: the steps of arm '{arm}' take the reference model's "
            "prediction too, which evaluation_sampler: own does not make; leave the arm out of "
            "compared, or take the native sampler"
        )
    return own.to(policy.device)


def sigmas(sampler: Sampler) -> list[str]:
    """What distinguishes an experiment's samplers, for digests: the same on any machine."""
    return [f"{sigma:.9g}" for sigma in sampler.sigma.tolist()]


def load_checkpoint(
    policy: Policy, run: Path, epoch: int, arm: str, experiment: Experiment, scale: Scale
) -> None:
    """Load a run's checkpoint of an epoch; raises the errors of `checkpoint_folder`."""
    policy.load_weights(checkpoint_folder(experiment, scale, arm, run, epoch))


def checkpoint_folder(
    experiment: Experiment, scale: Scale, arm: str, run: Path, epoch: int
) -> Path:
    """The folder of a run's checkpoint of an epoch, after a check of its files.

    Raises ValueError or FileNotFoundError if the run has none, or it is of another run or base.
    """
    manifest = read_manifest(run / "checkpoints.csv")
    if epoch not in manifest:
        raise ValueError(f"{run / 'checkpoints.csv'}: there is no checkpoint of epoch {epoch}")
    verify_checkpoint(
        manifest[epoch], experiment=experiment.name, arm=arm, epoch=epoch,
        base=policies.digest(scale.models[experiment.model].path),
    )  # fmt: skip
    return manifest[epoch]


def last_checkpoint(run: Path, upto: int) -> int:
    """The epoch of a run's last checkpoint not after epoch `upto`; ValueError if it has none."""
    path = run / "checkpoints.csv"
    if not (epochs := [epoch for epoch in read_manifest(path) if epoch <= upto]):
        raise ValueError(f"{path}: there is no checkpoint up to epoch {upto}")
    return max(epochs)


def cut_prompts(model: str, name: str, file: str, prompts: list[str]) -> str:
    """What the first tokenizer of a pipeline does not read of a prompt set; "" if it reads all.

    The originals cut prompts too; SD3 and FLUX read the rest through T5. Raises ValueError for a
    set from which the paper leaves such prompts out.
    """
    from transformers import AutoTokenizer

    from pcpo.prompts.sets import SETS, count_tokens, refuse_long

    tokenizer = AutoTokenizer.from_pretrained(model, subfolder="tokenizer")
    if name in SETS and SETS[name].short:
        refuse_long(prompts, tokenizer, file)
    most = tokenizer.model_max_length
    long = [n for n, length in enumerate(count_tokens(prompts, tokenizer), 1) if length > most]
    if not long:
        return ""
    return (
        f"{file}: {len(long)} of {len(prompts)} prompts have more than {most} CLIP tokens, "
        f"the first in line {long[0]}; what is beyond is not read by CLIP, as in the original"
    )


def embeddings(scale: Scale) -> Path:
    """Where the scale's prompt embeddings are kept."""
    return Path(Paths(scale.name).embeddings)


def device_of(args: argparse.Namespace, scale: Scale) -> str:
    """The device that the command line or else the scale names; ValueError if it is not there."""
    return Processes.start(args.device or scale.device).device


def load_reward(scale: Scale, key: str, device: str, /, **options: object) -> Reward:
    """The reward under `rewards.<key>` of the scale; `options` win over the scale's own."""
    source = scale.rewards[key]
    return rewards.load(
        source.implementation or key, source.path, device=device, **(source.options | options)
    )


def evaluation_rows(
    experiment: Experiment, scale: Scale, images_per_prompt: int
) -> list[tuple[int, str, int]]:
    """(prompt_id, prompt, image_seed) of the evaluation images, grouped by prompt."""
    prompts = read_prompts(scale.prompts[experiment.prompts])
    ids = evaluation_prompts(prompts, experiment.evaluation.prompts)
    return [(i, prompts[i], image_seed) for i in ids for image_seed in range(images_per_prompt)]


def score(
    policy: Policy,
    sampler: Sampler,
    experiment: Experiment,
    reward_functions: dict[str, Reward],
    items: Sequence[tuple[str, int]],
    stream: str = "evaluation",
) -> dict[str, np.ndarray]:
    """Generate the images of `items` and score them, a forward batch at a time: name -> (N,)."""
    import torch

    scores: dict[str, list[np.ndarray]] = {name: [] for name in reward_functions}
    batch = experiment.evaluation.batch
    images = generate(
        policy, sampler, experiment.sampler.guidance_scale, items, batch, stream=stream
    )
    for start in range(0, len(items), batch):
        own = items[start : start + batch]
        stack = torch.stack([next(images) for _ in own])
        for name, reward in reward_functions.items():
            scores[name].append(reward(stack, [prompt for prompt, _ in own]).double().numpy())
    return {name: np.concatenate(values) for name, values in scores.items()}
