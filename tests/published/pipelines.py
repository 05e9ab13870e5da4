"""The base models' pipelines in their published folders."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pcpo.cost import architectures
from pcpo.cost.encoders import text_encoders
from pcpo.policies import adapter_of
from tests.published import tokenizers
from tests.published.random_weights import Tensors, cast, write_sharded
from tests.published.sizes import Size

# As they are published, but for SD3.5: fp16 there, which a CPU converts slowly.
STORED = {
    "sd14": torch.float32,
    "sd15": torch.float32,
    "sd35m": torch.bfloat16,
    "flux": torch.bfloat16,
}
DENOISER_SHARDS, ENCODER_SHARDS = 10e9, 5e9  # bytes
Save = Callable[[Path, Size], None]
_CLIP: tuple[str, Save] = ("CLIPTokenizer", tokenizers.save_clip)
_PADDED: tuple[str, Save] = ("CLIPTokenizer", partial(tokenizers.save_clip, pad="!"))
_T5: tuple[str, Save] = ("T5TokenizerFast", tokenizers.save_t5)
# Model -> the name of each tokenizer in its pipeline -> class and builder
TOKENIZERS: dict[str, dict[str, tuple[str, Save]]] = {
    "sd14": {"tokenizer": _CLIP},
    "sd15": {"tokenizer": _CLIP},
    "sd35m": {"tokenizer": _CLIP, "tokenizer_2": _PADDED, "tokenizer_3": _T5},
    "flux": {"tokenizer": _CLIP, "tokenizer_2": _T5},
}
# The older files of Stable Diffusion 1: their own names, which the libraries translate.
_OLD_ATTENTION = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
_OLD = ("sd14", "sd15")


def components(name: str, size: Size) -> dict[str, Any]:
    """The networks of a pipeline, on the meta device, by their names in it."""
    small, adapter = size == "small", adapter_of(name)
    return {
        adapter.denoiser_name: architectures.denoiser(name, small=small),
        "vae": architectures.vae(name, small=small),
        **text_encoders(name, small=small),
    }


def tensors(name: str, component: str, network: Any) -> dict[str, Tensor]:
    """The tensors of a component's published file, on the meta device."""
    state: Tensors = network.state_dict()
    if component.startswith("text_encoder"):
        state = _of_encoder(name, network, state)
    elif component == "vae" and name in _OLD:
        state = {_old_attention(key): like for key, like in state.items()}
    return cast(state, STORED[name])


def _of_encoder(name: str, network: Any, state: Tensors) -> Tensors:
    kind = type(network).__name__
    if kind == "T5EncoderModel":  # one table, under its first name
        return {k: v for k, v in state.items() if k != "encoder.embed_tokens.weight"}
    if kind == "CLIPTextModel":  # without a projection; transformers 5 dropped the prefix
        state = {f"text_model.{key}": like for key, like in state.items()}
    if name in _OLD:
        count = network.config.max_position_embeddings
        positions = torch.empty(1, count, dtype=torch.int64, device="meta")
        state = {"text_model.embeddings.position_ids": positions, **state}
    return state


def _old_attention(key: str) -> str:
    found = re.fullmatch(r"(.*mid_block\.attentions\.0\.)(to_[qkv]|to_out\.0)(\..*)", key)
    return f"{found[1]}{_OLD_ATTENTION[found[2]]}{found[3]}" if found else key


def save_pipeline(name: str, folder: Path, size: Size = "small") -> None:
    """A base model's folder; tokenizers, configurations and files as published."""
    adapter: Any = adapter_of(name)
    networks = components(name, size)
    for component, network in networks.items():
        place = folder / component
        place.mkdir(parents=True, exist_ok=True)
        if component.startswith("text_encoder"):
            network.config.architectures = [type(network).__name__]
            network.config.save_pretrained(place)
            stem, most = "model", ENCODER_SHARDS
        else:
            network.save_config(place)
            stem, most = "diffusion_pytorch_model", DENOISER_SHARDS
        write_sharded(place, stem, tensors(name, component, network), f"{name} {component}", most)
    made = architectures.ARCHITECTURES[name]
    scheduler = made.scheduler(**made.scheduler_config)
    scheduler.save_pretrained(folder / "scheduler")
    for component, (_, save) in TOKENIZERS[name].items():
        save(folder / component, size)
    _write_index(name, adapter, networks, scheduler, folder)


def _write_index(name: str, adapter: Any, networks: Any, scheduler: Any, folder: Path) -> None:
    """model_index.json: library and class of each component."""
    index: dict[str, Any] = {"_class_name": adapter.pipeline_class.__name__}
    for component, network in {**networks, "scheduler": scheduler}.items():
        library = type(network).__module__.split(".")[0]
        index[component] = [library, type(network).__name__]
    for component, (kind, _) in TOKENIZERS[name].items():
        index[component] = ["transformers", kind]
    if name in _OLD:
        index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
        index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
    text = json.dumps(index, indent=2) + "\n"
    (folder / "model_index.json").write_text(text, encoding="utf-8")
