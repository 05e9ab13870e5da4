"""Counting a computation that is never run: its FLOPs and the bytes alive at its peak.

Tensors lie on the `meta` device, so that a model of any size is counted on any machine in seconds.
What a device does differently is put in: autocast's casts, and kernels that keep less for backward
(flash attention keeps no matrix of weights).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from pcpo.policies.base import HALF, Policy

FLASH_HEAD = 256  # widest head of flash attention; wider ones fall back to plain products

# Autocast's lists (ATen/autocast_mode.h), as far as our models meet them. The first is that of
# every device, the second CUDA's alone: a CPU computes these in the dtype that they get.
_IN_HALF = {
    functional.linear,
    functional.conv2d,
    functional.scaled_dot_product_attention,
    torch.conv2d,
    torch.matmul,
    torch.bmm,
    torch.baddbmm,
    torch.addmm,
    torch.mm,
    torch.einsum,
    Tensor.matmul,
    Tensor.__matmul__,
    Tensor.bmm,
    Tensor.mm,
}
_IN_FP32 = {
    functional.group_norm,
    functional.layer_norm,
    functional.rms_norm,
    functional.softmax,
    functional.interpolate,
    torch.group_norm,
    torch.layer_norm,
    torch.rms_norm,
    torch.softmax,
    torch.exp,
    torch.log,
    torch.pow,
    torch.rsqrt,
    torch.sum,
    torch.cumsum,
    Tensor.softmax,
    Tensor.exp,
    Tensor.log,
    Tensor.pow,
    Tensor.__pow__,
    Tensor.rsqrt,
    Tensor.sum,
    Tensor.cumsum,
}


class _As(TorchFunctionMode):
    """Calls on meta tensors take the dtypes and the attention that they have on a device.

    half: autocast's dtype; None runs without autocast. Autocast itself knows no meta device. Each
    fp32 weight is cast once and the copy kept until the context ends, as autocast does.
    """

    in_fp32: ClassVar[set[Any]] = set()
    instead: ClassVar[dict[Any, Callable[..., Tensor]]] = {}

    def __init__(self, half: torch.dtype | None) -> None:
        super().__init__()
        self.half = half
        self._casts: dict[Tensor, Tensor] = {}

    def __exit__(self, *exception: Any) -> None:
        self._casts.clear()
        super().__exit__(*exception)

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if self.half is not None and function in _IN_HALF:
            args, kwargs = tree_map(self._to_half, (args, kwargs))
        elif self.half is not None and function in self.in_fp32:
            args, kwargs = tree_map(_to_fp32, (args, kwargs))
        return self.instead.get(function, function)(*args, **kwargs)

    def _to_half(self, value: Any) -> Any:
        if not isinstance(value, Tensor) or value.dtype != torch.float32:
            return value
        if not (value.is_leaf and value.requires_grad):
            return value.to(self.half)
        if value not in self._casts:
            self._casts[value] = value.to(self.half)
        return self._casts[value]


def _to_fp32(value: Any) -> Any:
    half = isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16)
    return value.float() if half else value


def _flash_of_cpu(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, **options: Any
) -> Tensor:
    # Any width of a head, with a mask too.
    flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    out: Tensor = flash(query, key, value, attn_mask=attn_mask, scale=options.get("scale"))[0]
    return out


def _attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, **options: Any
) -> Tensor:
    if attn_mask is None and query.shape[-1] <= FLASH_HEAD:
        flash = torch.ops.aten._scaled_dot_product_flash_attention
        out: Tensor = flash(query, key, value, scale=options.get("scale"))[0]
        return out
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    if attn_mask is not None:
        scores = scores + attn_mask
    return scores.softmax(-1) @ value


def _tensors(values: Any) -> Iterator[Tensor]:
    """Tensors of an operator's arguments or results: alone, in a tuple, or in a list within."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, tuple | list):
        for value in values:
            yield from _tensors(value)


class _FusedRMSNorm(torch.autograd.Function):
    """What CUDA's kernel keeps for backward: its input and one number a row."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Any, weight: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight, x.new_empty(rows))
        return torch.empty_like(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, _ = ctx.saved_tensors
        of_weight = None if weight is None else torch.empty_like(weight)
        return torch.empty_like(x), None, of_weight


def _rms_norm(
    input: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    out: Tensor = _FusedRMSNorm.apply(input, input.shape[: -len(normalized_shape)], weight)
    return out


class AsOnCuda(_As):
    """As on a CUDA device."""

    in_fp32 = _IN_FP32
    instead: ClassVar[dict[Any, Callable[..., Tensor]]] = {
        functional.scaled_dot_product_attention: _attention,
        functional.rms_norm: _rms_norm,
        torch.rms_norm: _rms_norm,
    }


class AsOnCpu(_As):
    """As on a CPU."""

    instead: ClassVar[dict[Any, Callable[..., Tensor]]] = {
        functional.scaled_dot_product_attention: _flash_of_cpu
    }


AS_ON: dict[str, type[_As]] = {"cuda": AsOnCuda, "cpu": AsOnCpu}


class LiveBytes(TorchDispatchMode):
    """Bytes of tensors made within the context that are alive now, and the most there were.

    Views count with the tensor that they look at; tensors made before the context do not count.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: dict[int, int] = {}

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            storage = tensor.untyped_storage()
            if storage._cdata not in self._known and not any(
                t.untyped_storage()._cdata == storage._cdata for t in _tensors(args)
            ):
                self._add(storage)
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        self._known[key] = size
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._drop, key)

    def _drop(self, key: int) -> None:
        self.now -= self._known.pop(key)


def count_as_on(policy: Policy, device: str) -> None:
    """Make a policy on the meta device compute as it would on a device of `AS_ON`."""

    def mode() -> _As:
        return AS_ON[device](HALF.get(policy.precision))

    policy._autocast = mode  # type: ignore[method-assign]
    if policy.execution.activation_checkpointing:  # what runs forward again within backward too
        policy.denoiser.enable_gradient_checkpointing(
            partial(checkpoint, use_reentrant=False, context_fn=lambda: (nullcontext(), mode()))
        )


def _flash_of_cpu_flops(query: Any, key: Any, value: Any, *rest: Any, **options: Any) -> int:
    return int(sdpa_flop_count(query, key, value))


def _flash_of_cpu_backward_flops(
    gradient: Any, query: Any, key: Any, value: Any, *rest: Any, **options: Any
) -> int:
    return int(sdpa_backward_flop_count(gradient, query, key, value))


# What torch's own table lacks.
FLOPS: dict[Any, Any] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _flash_of_cpu_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        _flash_of_cpu_backward_flops
    ),
}


def flops(function: Callable[[], Any]) -> int:
    """Floating-point operations of matrix products, convolutions and attention in a call."""
    with FlopCounterMode(display=False, custom_mapping=FLOPS) as counter:
        function()
    return int(counter.get_total_flops())


def peak_bytes(function: Callable[[], Any]) -> int:
    """The most bytes alive in a call, beyond the tensors that were there before it."""
    with LiveBytes() as live:
        function()
    return live.peak
