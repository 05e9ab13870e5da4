"""The deterministic stream of prompts that a training run draws, and which are evaluated."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from pcpo.config import Batch


def derive_seed(*parts: str | int) -> int:
    """A 63-bit seed from names and numbers: the same on every machine and in every process."""
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little") >> 1


def iteration_prompts(batch: Batch, count: int, seed: int, epoch: int, shuffle: bool) -> list[int]:
    """Prompt ids `(images_per_iteration,)` of one iteration, in the order of its image slots.

    DDPO draws a random prompt for each image. The GRPO methods draw distinct prompts and repeat
    each `images_per_prompt` times; without `shuffle` (DanceGRPO) an update is made of whole
    groups, with it (Flow-GRPO) images are spread over the updates. The shuffle stands before the
    rollout, so that an update replays the rollout's micro-batches as they were.
    """
    rng = np.random.default_rng(derive_seed("prompts", seed, epoch))
    if batch.prompts_per_iteration is None or batch.images_per_prompt is None:
        return rng.integers(count, size=batch.images_per_iteration).tolist()
    if batch.prompts_per_iteration > count:
        raise ValueError(
            f"batch.prompts_per_iteration is {batch.prompts_per_iteration}, "
            f"but the prompt set has {count} prompts"
        )
    # Drawn anew in each iteration, as Flow-GRPO; DanceGRPO draws without replacement over the run.
    chosen = rng.choice(count, size=batch.prompts_per_iteration, replace=False)
    slots = np.repeat(chosen, batch.images_per_prompt)
    return (rng.permutation(slots) if shuffle else slots).tolist()


def evaluation_prompts(prompts: Sequence[str], count: int) -> list[int]:
    """Ids of at most `count` prompts, evenly spread over the set.

    The paper does not say which 45 of its larger sets it takes. Of the 135 activity prompts
    (noun-major, three activities each) this takes each noun once, with activity i mod 3.
    """
    if len(prompts) <= count:
        return list(range(len(prompts)))
    if len(prompts) == 3 * count:
        return [3 * i + i % 3 for i in range(count)]
    return [i * len(prompts) // count for i in range(count)]
