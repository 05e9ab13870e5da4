"""Random weights, made and written tensor by tensor, so that no model is in memory as a whole.

What is written are tensors of the meta device by their names: a network's `state_dict` where it was
built under `torch.device("meta")`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from pcpo.prompts.draws import derive_seed
from pcpo.records.replace import new_file

Tensors = Mapping[str, Tensor]
_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64"}
LOGIT_SCALE = math.log(100)  # CLIP's, at the end of its training


def value(name: str, like: Tensor, seed: str, gain: float = 1.0) -> Tensor:
    """A random tensor with the shape and dtype of `like`, the same at each call.

    Weights of norms and running variances are 1, biases 0; all else is normal with a variance of
    gain^2 over the number of inputs, so that activations keep their size from layer to layer.
    """
    shape, part = like.shape, name.rsplit(".", 1)[-1]
    if not like.dtype.is_floating_point:  # positions, or the counter of a batch norm
        count = shape[-1] if shape else 0
        return (
            torch.arange(count).expand(shape).contiguous() if count else torch.zeros(shape).long()
        )
    if part == "logit_scale":
        return torch.full(shape, LOGIT_SCALE, dtype=like.dtype)
    if part == "running_var" or (len(shape) == 1 and part in ("weight", "lambda1")):
        return torch.ones(shape, dtype=like.dtype)
    if part == "running_mean" or part.endswith("bias"):
        return torch.zeros(shape, dtype=like.dtype)
    inputs = math.prod(shape[1:]) if len(shape) in (2, 4) else shape[-1]
    generator = torch.Generator().manual_seed(derive_seed("random weights", seed, name))
    return torch.randn(shape, generator=generator).mul_(gain * inputs**-0.5).to(like.dtype)


def size_of(tensors: Tensors) -> int:
    """Bytes of all tensors."""
    return sum(t.numel() * t.element_size() for t in tensors.values())


def cast(tensors: Tensors, dtype: torch.dtype) -> dict[str, Tensor]:
    """The same with floating-point tensors of a dtype, on the meta device."""
    return {
        name: torch.empty(
            t.shape, dtype=dtype if t.dtype.is_floating_point else t.dtype, device="meta"
        )
        for name, t in tensors.items()
    }


def write_pickle(
    path: Path, tensors: Tensors, seed: str, gain: float = 1.0, under: str = ""
) -> None:
    """As torch saves a state dict, below the key `under` where there is one."""
    state = {name: value(name, like, seed, gain) for name, like in tensors.items()}
    with new_file(path) as part:
        torch.save({under: state} if under else state, part)


def write_safetensors(path: Path, tensors: Tensors, seed: str) -> None:
    """One file of safetensors: the length of its header, the header, then one tensor at a time."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, like in tensors.items():
        start, end = end, end + like.numel() * like.element_size()
        header[name] = {
            "dtype": _NAMES[like.dtype],
            "shape": list(like.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with new_file(path) as part, part.open("wb") as handle:
        handle.write(len(text).to_bytes(8, "little") + text)
        for name, like in tensors.items():
            data = value(name, like, seed).contiguous().reshape(-1)
            handle.write(data.view(torch.uint8).numpy().data)


def write_sharded(folder: Path, stem: str, tensors: Tensors, seed: str, most: float) -> None:
    """`write_safetensors` in one file, or in several of at most so many bytes with their index."""
    shards: list[dict[str, Tensor]] = [{}]
    for name, like in tensors.items():
        if shards[-1] and size_of(shards[-1]) + size_of({name: like}) > most:
            shards.append({})
        shards[-1][name] = like
    if len(shards) == 1:
        write_safetensors(folder / f"{stem}.safetensors", tensors, seed)
        return
    weight_map = {}
    for number, shard in enumerate(shards, 1):
        file = f"{stem}-{number:05d}-of-{len(shards):05d}.safetensors"
        write_safetensors(folder / file, shard, seed)
        weight_map |= dict.fromkeys(shard, file)
    index = {"metadata": {"total_size": size_of(tensors)}, "weight_map": weight_map}
    text = json.dumps(index, indent=2) + "\n"
    (folder / f"{stem}.safetensors.index.json").write_text(text, encoding="utf-8")
