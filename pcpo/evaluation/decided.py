"""When a reward is decided: how much of it the first steps of a sampler leave open.

By the law of total variance, the variance of a reward over the images of a prompt is the variance
of its mean given the initial noise and the noise of the first t steps (what these have decided),
and the mean of its variance given them (what is open). Two images that share this noise and no
other have half of their mean squared difference open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pcpo.samplers import Sampler
from pcpo.trajectory import Predict, gaussian_noise, sample

if TYPE_CHECKING:
    from pcpo.policies.base import Policy
    from pcpo.rewards import Reward

# latents `(B, ...)` -> rewards of their images `(R, B)`, of R kinds
Score = Callable[[Tensor], Tensor]


def scores_by_shared_steps(
    predict: Predict, sampler: Sampler, noise: Tensor, fresh: Tensor, score: Score
) -> Tensor:
    """`(T + 1, R, B)`: row t has the initial noise and the first t steps of `noise`.

    The later steps have those of `fresh`; the last row is of `noise` alone. noise, fresh:
    `(B, T + 1, ...)`, the initial latents first.
    """
    rows = []
    for shared in range(1, len(sampler) + 2):
        mixed = torch.cat([noise[:, :shared], fresh[:, shared:]], dim=1)
        rows.append(score(sample(predict, sampler, mixed[:, 0], mixed[:, 1:]).final))
    return torch.stack(rows)


def scores_of_images(
    policy: Policy,
    sampler: Sampler,
    guidance_scale: float,
    rewards: Sequence[Reward],
    items: Sequence[tuple[str, int]],
    batch: int,
    seed: int = 0,
) -> Iterator[Tensor]:
    """`scores_by_shared_steps` of a policy's images, at most `batch` of the items at a time.

    items: (prompt, image number). seed: of the noise.
    """
    policy.prepare([prompt for prompt, _ in items])
    policy.release()
    for start in range(0, len(items), batch):
        own = items[start : start + batch]
        prompts = [prompt for prompt, _ in own]
        noise, fresh = (
            gaussian_noise(
                [(stream, seed, *item) for item in own], len(sampler) + 1, policy.latent_shape
            ).to(policy.device)
            for stream in ("decided", "decided afresh")
        )

        def score(latents: Tensor, prompts: list[str] = prompts) -> Tensor:
            images = policy.decode(latents)
            return torch.stack([reward(images, prompts).double() for reward in rewards])

        predict = policy.conditioned(policy.encode(prompts), guidance_scale)
        yield scores_by_shared_steps(predict, sampler, noise, fresh, score)


def decided(scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The decided share of the variance after 0, ..., T steps, and its standard error, `(T + 1,)`.

    scores: `(T + 1, P, n)`, of n images for each of P prompts; row t shares the first t steps with
    the last row. The variance is that within a prompt. The error is the jackknife's over prompts.
    Raises ValueError for fewer than two images or prompts, and where no image of a prompt differs.
    """
    prompts, images = scores.shape[1:]
    if prompts < 2 or images < 2:
        raise ValueError(
            f"{prompts} prompts with {images} images: a decided share needs 2 or more of both"
        )
    open_ = np.square(scores - scores[-1]).mean(axis=2) / 2  # (T + 1, P)
    whole = scores.var(axis=2, ddof=1).mean(axis=0)  # (P,), each row an estimate of the same
    if not whole.sum() > 0:
        raise ValueError("the images of a prompt all score alike: no step decides anything")
    share = 1 - open_.sum(axis=1) / whole.sum()
    without = 1 - (open_.sum(axis=1, keepdims=True) - open_) / (whole.sum() - whole)
    spread = np.square(without - without.mean(axis=1, keepdims=True)).sum(axis=1)
    return share, np.sqrt(spread * (prompts - 1) / prompts)
