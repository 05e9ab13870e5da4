"""Experiments of seconds over the small pipelines of conftest.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pcpo import policies
from pcpo.config import Experiment, LoRA, ModelSource, load_experiment
from pcpo.policies.base import Policy

PROMPTS = [f"{colour} {shape}" for colour in ("red", "blue") for shape in ("circle", "star")]


def experiment(number: int, **changes: Any) -> Experiment:
    """A configuration at smoke scale, smaller still; a dict changes the keys of a section.

    4 images an epoch in 2 updates, 3 sampler steps (6 where each image trains a part of them).
    """
    chosen = load_experiment(number, "smoke")
    sections: dict[str, Any] = {
        "validation": None,
        "batch": {"images_per_iteration": 4, "gradient_updates": 2, "micro_batch": 2},
        "sampler": {"steps": 3 if chosen.timesteps.fraction == 1 else 6},
    }
    if chosen.batch.prompts_per_iteration is not None:
        sections["batch"] |= {"prompts_per_iteration": 2, "images_per_prompt": 2}
    for key, value in changes.items():
        sections[key] = sections.get(key, {}) | value if isinstance(value, dict) else value
    update = {
        key: getattr(chosen, key).model_copy(update=value) if isinstance(value, dict) else value
        for key, value in sections.items()
    }
    return chosen.model_copy(update=update)


def policy(
    models: dict[str, ModelSource],
    of: Experiment,
    *,
    train: bool = False,
    seed: int = 0,
    lora: LoRA | None = None,
) -> Policy:
    """The experiment's small base model; `seed` is that of the LoRA's initialisation."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        of = of.model_copy(update={"lora": lora or of.lora})
        return policies.load(of, models[of.model], train=train)


def perturb(chosen: Policy, seed: int = 0, size: float = 0.3) -> None:
    """Move the trained weights away from where they started."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in chosen.trainable().values():
            parameter.add_(size * torch.randn(parameter.shape, generator=generator))


def latents(chosen: Policy, count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *chosen.latent_shape, generator=generator)


def brightness(images: Tensor, prompts: Sequence[str]) -> Tensor:
    """A reward: the mean brightness of each image, 0..1."""
    return images.double().mean(dim=(1, 2, 3)) / 255


def brightness_by_prompt(images: Tensor, prompts: Sequence[str]) -> Tensor:
    """A reward that is another one where images and prompts are paired wrongly."""
    return brightness(images, prompts) * torch.tensor([len(prompt) for prompt in prompts])


def place(images: Tensor, prompts: Sequence[str]) -> Tensor:
    """A reward: the place of each image's prompt among PROMPTS."""
    return torch.tensor([PROMPTS.index(prompt) for prompt in prompts]).double()


def newest_state(run):
    """Folder of the state that a run would resume from."""
    return max((run / "resume").glob("epoch_*"))
