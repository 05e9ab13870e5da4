"""The deterministic stream of prompts of a training run, and the evaluated prompts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from pcpo.config import Batch


def derive_seed(*parts: str | int) -> int:
    """A 63-bit seed from names and numbers: the same on every machine and in every process."""
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little") >> 1


def iteration_prompts(batch: Batch, count: int, seed: int, epoch: int) -> list[int]:
    """The prompt of each image of one iteration: `images_per_iteration` ids in 0..count-1.

    DDPO draws a random prompt for each image. The GRPO methods draw distinct prompts and repeat
    each one `images_per_prompt` times; `batch.shuffle` says in which order. The order is fixed
    before the rollout, so that an update repeats the rollout's micro-batches exactly.

    Raises ValueError where an iteration needs more distinct prompts than there are.
    """
    rng = np.random.default_rng(derive_seed("prompts", seed, epoch))
    if batch.prompts_per_iteration is None or batch.images_per_prompt is None:
        return rng.integers(count, size=batch.images_per_iteration).tolist()
    if batch.prompts_per_iteration > count:
        raise ValueError(
            f"batch.prompts_per_iteration is {batch.prompts_per_iteration}, "
            f"but the prompt set has {count} prompts"
        )
    # Drawn independently in each iteration, as in Flow-GRPO. DanceGRPO draws without replacement
    # over the run.
    chosen = rng.choice(count, size=batch.prompts_per_iteration, replace=False)
    ids = np.repeat(chosen, batch.images_per_prompt)
    return (rng.permutation(ids) if batch.shuffle else ids).tolist()


def evaluation_prompts(prompts: Sequence[str], count: int) -> list[int]:
    """Ids of at most `count` prompts, evenly spread over the set.

    The paper does not say which 45 prompts of its larger sets it uses. Of the 135 activity prompts
    (noun-major, three activities each) this takes each noun once, with activity i mod 3.
    """
    if len(prompts) <= count:
        return list(range(len(prompts)))
    if len(prompts) == 3 * count:
        return [3 * i + i % 3 for i in range(count)]
    return [i * len(prompts) // count for i in range(count)]
