"""A denoiser that is split over the processes of a run (FSDP2), and tensors that are."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor


def shard(denoiser: nn.Module, blocks: Iterable[nn.Module], half: torch.dtype | None) -> None:
    """Split a denoiser over the processes, block by block, so that no device ever holds all of it.

    Its blocks are gathered in `half` (fp32 where it is None), and gradients reduced in fp32.
    """
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    # Autocast says what runs in half precision, as it does for the whole model. Inputs that
    # FSDP casts would differ (FLUX's rotary embedding), and differ again where activation
    # checkpointing recomputes a block: there it does not cast them.
    mixed = MixedPrecisionPolicy(
        param_dtype=half, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    for block in blocks:
        fully_shard(block, mp_policy=mixed)
    fully_shard(denoiser, mp_policy=mixed)


def whole(tensor: Tensor) -> Tensor:
    """A detached tensor, gathered if it is sharded; then every process must call it."""
    tensor = tensor.detach()
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def sharded_like(value: Tensor, like: Tensor) -> Tensor:
    """A whole tensor on the device of `like`, split as `like` is; a scalar as it was."""
    if value.ndim == 0:  # an optimiser's counter: whole, and on the CPU, where AdamW reads it
        return value
    value = value.to(like.device)
    if not isinstance(like, DTensor):
        return value
    return distribute_tensor(value, like.device_mesh, like.placements)
