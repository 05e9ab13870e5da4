"""The text encoders of the published pipelines: their classes and configurations, random weights.

Sources: `config.json` of each component in the repositories that `architectures` names.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    PreTrainedConfig,
    PreTrainedModel,
    T5Config,
    T5EncoderModel,
)

from pcpo.cost.architectures import Config, build

# Their configurations still have the ids of an older transformers: with 2 as the end, a CLIP pools
# at the largest id, which is the real end token.
_IDS: Config = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}
_CLIP_L: Config = {
    **_IDS,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "hidden_act": "quick_gelu",
    "projection_dim": 768,
}
_CLIP_BIG_G: Config = {
    **_IDS,
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_attention_heads": 20,
    "num_hidden_layers": 32,
    "hidden_act": "gelu",
    "projection_dim": 1280,
}
_T5_XXL: Config = {
    "vocab_size": 32128,
    "d_model": 4096,
    "d_ff": 10240,
    "d_kv": 64,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
    "dropout_rate": 0.1,
    "tie_word_embeddings": False,
}
# Of `architectures`' small text: a width of 16, and 8 pooled.
_SMALL_CLIP: Config = {
    **_IDS,
    "vocab_size": 400,  # more than the tokenizers of pcpo.synthetic have
    "intermediate_size": 16,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "max_position_embeddings": 12,
}
_SMALL_T5: Config = {
    "vocab_size": 400,
    "d_model": 16,
    "d_ff": 32,
    "d_kv": 8,
    "num_layers": 2,
    "num_heads": 2,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
}

Encoder = tuple[type[PreTrainedModel], type[PreTrainedConfig], Config, Config]
_SD1: dict[str, Encoder] = {
    "text_encoder": (CLIPTextModel, CLIPTextConfig, _CLIP_L, {**_SMALL_CLIP, "hidden_size": 16})
}
_PROJECTED: Config = {**_SMALL_CLIP, "hidden_size": 8, "projection_dim": 4}
# Model -> the name of each encoder in its pipeline -> class, configuration, the small one's values.
ENCODERS: dict[str, dict[str, Encoder]] = {
    "sd14": _SD1,
    "sd15": _SD1,
    "sd35m": {
        "text_encoder": (CLIPTextModelWithProjection, CLIPTextConfig, _CLIP_L, _PROJECTED),
        "text_encoder_2": (CLIPTextModelWithProjection, CLIPTextConfig, _CLIP_BIG_G, _PROJECTED),
        "text_encoder_3": (T5EncoderModel, T5Config, _T5_XXL, _SMALL_T5),
    },
    "flux": {
        "text_encoder": (
            CLIPTextModel, CLIPTextConfig, _CLIP_L, {**_SMALL_CLIP, "hidden_size": 8}
        ),
        "text_encoder_2": (T5EncoderModel, T5Config, _T5_XXL, _SMALL_T5),
    },
}  # fmt: skip


def text_encoders(
    model: str, *, device: str = "meta", dtype: torch.dtype = torch.float32, small: bool = False
) -> dict[str, nn.Module]:
    """The text encoders of a model of `ENCODERS`, by their names in its pipeline."""
    found = {}
    for name, (kind, config, published, little) in ENCODERS[model].items():
        values = published | (little if small else {})
        found[name] = build(kind, {"config": config(**values)}, device, dtype)
    return found


def encoder_bytes(model: str, dtype: torch.dtype) -> int:
    """Bytes of all text encoders of a model as they are opened in a dtype; 0 for another model."""
    if model not in ENCODERS:
        return 0
    found = 0
    for encoder in text_encoders(model).values():
        for name, parameter in encoder.named_parameters():
            # transformers keeps a part of T5 in fp32 where it is opened in fp16.
            kept = T5EncoderModel._keep_in_fp32_modules or () if _is_t5(encoder) else ()
            wide = dtype == torch.float16 and any(part in name.split(".") for part in kept)
            found += parameter.numel() * (torch.float32 if wide else dtype).itemsize
    return found


def _is_t5(encoder: Any) -> bool:
    return isinstance(encoder, T5EncoderModel)
