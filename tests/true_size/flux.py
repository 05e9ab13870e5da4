"""FLUX.1-dev on the meta device: shapes, keys, what an adapter trains, memory."""

from __future__ import annotations

from typing import Any

import torch

from pcpo.config import load_experiment
from pcpo.cost import architectures
from pcpo.cost.counting import count_as_on
from pcpo.cost.memory import counts, peak_gigabytes, predict_call
from tests.true_size.stages import Failure

DOUBLE, SINGLE = 19, 38  # blocks
_OF_DOUBLE = (
    *("norm1.linear", "norm1_context.linear", "attn.to_q", "attn.to_k", "attn.to_v"),
    *("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj", "attn.to_out.0", "attn.to_add_out"),
    *("ff.net.0.proj", "ff.net.2", "ff_context.net.0.proj", "ff_context.net.2"),
)
_NORMS_OF_DOUBLE = ("norm_q", "norm_k", "norm_added_q", "norm_added_k")
_OF_SINGLE = ("norm.linear", "proj_mlp", "proj_out", "attn.to_q", "attn.to_k", "attn.to_v")
_NORMS_OF_SINGLE = ("norm_q", "norm_k")
_ONCE = (
    *(f"time_text_embed.{kind}_embedder.linear_{n}"
      for kind in ("timestep", "guidance", "text") for n in (1, 2)),
    *("context_embedder", "x_embedder", "norm_out.linear", "proj_out"),
)  # fmt: skip


def published_keys() -> set[str]:
    """The tensors of black-forest-labs/FLUX.1-dev, transformer/: 1,160 names."""
    layers = list(_ONCE)
    layers += [f"transformer_blocks.{n}.{part}" for n in range(DOUBLE) for part in _OF_DOUBLE]
    layers += [
        f"single_transformer_blocks.{n}.{part}" for n in range(SINGLE) for part in _OF_SINGLE
    ]
    norms = [f"transformer_blocks.{n}.attn.{p}" for n in range(DOUBLE) for p in _NORMS_OF_DOUBLE]
    norms += [
        f"single_transformer_blocks.{n}.attn.{p}" for n in range(SINGLE) for p in _NORMS_OF_SINGLE
    ]
    both = {f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}
    return both | {f"{norm}.weight" for norm in norms}


def check() -> dict[str, Any]:
    """What was found. Raises Failure where it is not what is published."""
    keys = set(architectures.denoiser("flux", dtype=torch.bfloat16).state_dict())
    if odd := keys ^ published_keys():
        raise Failure(f"FLUX: {len(odd)} tensors are of one side alone, as {sorted(odd)[0]}")
    adapter, whole = load_experiment(6), load_experiment(10)
    policy = architectures.policy(adapter, device="meta")
    count_as_on(policy, "cuda")  # autocast knows no meta device
    shape = tuple(predict_call(adapter, policy, 1)().shape)
    if shape != (1, 45 * 45, 64):  # 720 pixels, packed in patches of 16
        raise Failure(f"FLUX: a prediction has the shape {shape}")
    trained = policy.trainable()
    targets = {name.split(".lora_")[0].rsplit(".attn.", 1)[-1] for name in trained}
    # q, k, v of all blocks and the output of the double ones.
    expected = DOUBLE * 4 + SINGLE * 3
    if len(trained) != 2 * expected or targets != {"to_q", "to_k", "to_v", "to_out.0"}:
        raise Failure(f"FLUX: the adapter has {len(trained)} matrices, of {sorted(targets)}")
    return {
        "parameters": sum(p.numel() for p in policy.denoiser.parameters())
        - sum(p.numel() for p in trained.values()),
        "keys": len(keys),
        "targets": expected,
        "trained": sum(p.numel() for p in trained.values()),
        "adapter_gb": round(peak_gigabytes(adapter), 1),
        "all_weights_gb": round(peak_gigabytes(whole), 1),
        "encoding_gb": round(counts(adapter).encoding / 1e9, 1),
    }
