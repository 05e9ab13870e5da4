"""What the demo's pretraining recipes share: data, seeds, schedules, averages, folders."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from pcpo.records.replace import new_folder
from pcpo.synthetic import drawing, words
from pcpo.synthetic.muon import Muon

if TYPE_CHECKING:  # the recipes of rewards need no diffusion model
    from diffusers import DiffusionPipeline
    from transformers import PreTrainedTokenizerBase

    from pcpo.synthetic.vae import PatchLinearVAE


def generators(purpose: str, seed: int) -> tuple[np.random.Generator, torch.Generator]:
    """Independent generators for drawings and for training, by purpose: equal in every process."""
    entropy = [seed, zlib.crc32(purpose.encode())]
    draws, trains = np.random.SeedSequence(entropy).spawn(2)
    torch_seed = int(trains.generate_state(1, np.uint64)[0] >> np.uint64(1))
    return np.random.default_rng(draws), torch.Generator().manual_seed(torch_seed)


@dataclass(frozen=True)
class CaptionedLatents:
    """Training data: latents (N, C, h, w), the caption index of each, and the captions."""

    latents: torch.Tensor
    caption: torch.Tensor
    captions: tuple[str, ...]
    vae: PatchLinearVAE


def captioned_drawings(
    rng: np.random.Generator,
    count: int,
    fold: int,
    activity_omitted: float = 0.0,
    word_share: float = 0.0,
) -> CaptionedLatents:
    """`count` drawings of the 180 captions, and words for a share `word_share` of them.

    With probability `activity_omitted` an activity caption gets a picture without the activity.
    A model trained on such data often omits it too (as SD 1.x omits "riding a bike"), which leaves
    a reward for prompt alignment something to improve.
    """
    from pcpo.synthetic.vae import PatchLinearVAE

    word_count = round(count * word_share)
    captions = [drawing.CAPTIONS[k % len(drawing.CAPTIONS)] for k in range(count - word_count)]
    scenes = [drawing.parse_caption(text) for text in captions]
    omit = rng.random(len(scenes)) < activity_omitted
    drawn = [
        drawing.Scene(scene.colour, scene.shape) if omitted else scene
        for scene, omitted in zip(scenes, omit, strict=True)
    ]
    images = drawing.draw(drawn, rng)
    if word_count:
        chosen = [words.WORDS[k % len(words.WORDS)] for k in range(word_count)]
        captions += [words.prompt(word) for word in chosen]
        images = torch.cat([images, words.draw_words(chosen, rng)])
    vae = PatchLinearVAE.fit(images, fold=fold)
    distinct = tuple(sorted(set(captions)))
    position = {text: k for k, text in enumerate(distinct)}
    with torch.no_grad():
        latents = vae.encode(drawing.from_uint8(images)).latent_dist.mode()
    caption = torch.tensor([position[text] for text in captions])
    return CaptionedLatents(latents, caption, distinct, vae)


def token_ids(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_tokens: int
) -> torch.Tensor:
    """int64 (N, max_tokens), padded as the pipelines pad."""
    return tokenizer(
        list(texts),
        padding="max_length",
        max_length=max_tokens,
        truncation=True,
        return_tensors="pt",
    ).input_ids


class Training:
    """One optimisation of `modules`: Muon for their matrices, AdamW for the rest, gradient
    clipping at norm 1, a learning rate that decays to zero, and the average of the weights.

    Args:
        modules: what is trained, in training mode.
        steps: number of calls of `step` to come; the learning rate reaches zero there.
        learning_rate: of Muon. AdamW's is `ADAMW_SHARE` of it.
        average_decay: decay of the exponential moving average of the weights.
    """

    ADAMW_SHARE = 0.2
    SMALLEST_MATRIX_SIDE = 24

    def __init__(
        self,
        modules: Sequence[nn.Module],
        steps: int,
        learning_rate: float,
        average_decay: float = 0.99,
    ) -> None:
        self.parameters = [p for module in modules for p in module.train().parameters()]
        side = self.SMALLEST_MATRIX_SIDE
        matrices = [p for p in self.parameters if p.ndim > 1 and min(p.flatten(1).shape) >= side]
        others = [p for p in self.parameters if not any(p is matrix for matrix in matrices)]
        self.optimizers: tuple[torch.optim.Optimizer, ...] = (
            Muon(matrices, lr=learning_rate),
            torch.optim.AdamW(others, lr=self.ADAMW_SHARE * learning_rate),
        )
        self.schedules = [warm_then_decay(optimizer, steps) for optimizer in self.optimizers]
        self.average = WeightAverage(self.parameters, average_decay)

    def step(self, loss: torch.Tensor) -> None:
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for optimizer, schedule in zip(self.optimizers, self.schedules, strict=True):
            optimizer.step()
            schedule.step()
        self.average.update()


class WeightAverage:
    """Exponential moving average of parameters; the decay rises to `decay` over the first steps."""

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float) -> None:
        self.parameters: list[torch.Tensor] = list(parameters)
        self.average = [p.detach().clone() for p in self.parameters]
        self.decay = decay
        self.count = 0

    @torch.no_grad()
    def update(self) -> None:
        self.count += 1
        decay = min(self.decay, (1 + self.count) / (10 + self.count))
        torch._foreach_lerp_(self.average, self.parameters, 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the parameters and their average; a second call undoes the first."""
        for parameter, average in zip(self.parameters, self.average, strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(kept)


def warm_then_decay(
    optimizer: torch.optim.Optimizer, steps: int, warm_up: int = 50, hold: float = 0.5
) -> torch.optim.lr_scheduler.LambdaLR:
    """Linear warm-up, constant until `hold` of the steps, then linearly to zero."""

    def factor(step: int) -> float:
        rising = min(1.0, (step + 1) / max(1, warm_up))
        return rising * min(1.0, (steps - step) / max(1.0, steps * (1 - hold)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def flow_times(count: int, generator: torch.Generator, shift: float = 2.0) -> torch.Tensor:
    """Logit-normal times in (0, 1), 1 is noise, moved towards noise by `shift` (SD3's training)."""
    time = torch.sigmoid(torch.randn(count, generator=generator))
    return shift * time / (1 + (shift - 1) * time)


def save_pipeline(pipeline: DiffusionPipeline, folder: Path) -> None:
    """`save_pretrained` with every component in evaluation mode, whole folder or nothing."""
    for component in pipeline.components.values():
        if isinstance(component, nn.Module):
            component.eval()
    with new_folder(folder) as part:
        pipeline.save_pretrained(part, safe_serialization=True)
