"""Split a denoiser over the processes of a run (FSDP2), and gather or split its tensors."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor


def shard(denoiser: nn.Module, blocks: Iterable[nn.Module], half: torch.dtype | None) -> None:
    """Split a denoiser over the processes, block by block, so that no device ever has all of it.

    Its blocks are gathered in `half` (fp32 if it is None), and gradients are reduced in fp32.
    """
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    # Autocast decides what runs in half precision, as for the whole model. Inputs that FSDP casts
    # would differ (FLUX's rotary embedding), and would differ again where activation checkpointing
    # recomputes a block, because FSDP does not cast them there.
    mixed = MixedPrecisionPolicy(
        param_dtype=half, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    for block in blocks:
        fully_shard(block, mp_policy=mixed)
    fully_shard(denoiser, mp_policy=mixed)


def whole(tensor: Tensor) -> Tensor:
    """A detached tensor, gathered if it is sharded; every process must then call this."""
    tensor = tensor.detach()
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def sharded_like(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor, moved to the device of `like` and split like it; a scalar is unchanged."""
    if value.ndim == 0:  # an optimiser's counter: AdamW reads it whole, on the CPU
        return value
    value = value.to(like.device)
    if not isinstance(like, DTensor):
        return value
    return distribute_tensor(value, like.device_mesh, like.placements)
