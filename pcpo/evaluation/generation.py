"""Images of a policy: prompts x image seeds, the same noise for every policy.

Image k of a prompt depends only on (sampler, prompt, k). Floating-point sums depend on the batch
shape, so every forward has `forward_batch` images (a short last batch is filled up). Then the split
of the images into calls or processes changes no pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from pcpo.trajectory import Predict, gaussian_noise, sample

if TYPE_CHECKING:
    from pcpo.policies.base import Policy
    from pcpo.policies.embeddings import Conditioning
    from pcpo.samplers import Sampler


def generate(
    policy: Policy,
    sampler: Sampler,
    guidance_scale: float,
    items: Sequence[tuple[str, int]],
    forward_batch: int,
    stream: str = "evaluation",
    conditioned: Callable[[Conditioning, float], Predict] | None = None,
) -> Iterator[Tensor]:
    """Yield one image `uint8 (3, H, W)` per item `(prompt, image_seed)`, in order.

    `stream` names the family of noises; images of different streams are independent. `conditioned`
    gives the predictions in place of the policy's own (`pcpo.evaluation.reward_guidance`).
    """
    policy.prepare([prompt for prompt, _ in items])
    policy.release()
    for start in range(0, len(items), forward_batch):
        own = list(items[start : start + forward_batch])
        padded = own + [own[-1]] * (forward_batch - len(own))
        keys: list[tuple[str | int, ...]] = [
            (stream, prompt, image_seed) for prompt, image_seed in padded
        ]
        noise = gaussian_noise(keys, len(sampler) + 1, policy.latent_shape).to(policy.device)
        conditioning = policy.encode([prompt for prompt, _ in padded])
        trajectory = sample(
            (conditioned or policy.conditioned)(conditioning, guidance_scale),
            sampler,
            noise[:, 0],
            noise[:, 1:],
        )
        yield from policy.decode(trajectory.final)[: len(own)]
