"""A transformers CLIPModel in open_clip's folder layout (open_clip_config.json + weights).

Both libraries compute the same function; only names differ, and open_clip keeps the projections of
a query, key and value in one matrix and projection matrices transposed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import CLIPModel, CLIPTokenizer
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from pcpo.records.replace import new_folder


def save_open_clip(model: CLIPModel, tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write the folder that open_clip reads as `local-dir:<folder>`."""
    with new_folder(folder) as part:
        config = {"model_cfg": model_config(model), "preprocess_cfg": preprocess_config(model)}
        text = json.dumps(config, indent=2) + "\n"
        (part / "open_clip_config.json").write_text(text, encoding="utf-8")
        save_file(state_dict(model), part / "open_clip_model.safetensors")
        tokenizer.save_pretrained(part)


def model_config(model: CLIPModel) -> dict:
    """open_clip's configuration of the same architecture."""
    vision: Any = model.config.vision_config
    text: Any = model.config.text_config
    return {
        "embed_dim": model.config.projection_dim,
        "quick_gelu": vision.hidden_act == "quick_gelu",
        "vision_cfg": {
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
            "width": vision.hidden_size,
            "layers": vision.num_hidden_layers,
            "head_width": vision.hidden_size // vision.num_attention_heads,
            "mlp_ratio": vision.intermediate_size / vision.hidden_size,
        },
        "text_cfg": {
            "context_length": text.max_position_embeddings,
            "vocab_size": text.vocab_size,
            "width": text.hidden_size,
            "heads": text.num_attention_heads,
            "layers": text.num_hidden_layers,
            "mlp_ratio": text.intermediate_size / text.hidden_size,
            # Any name: open_clip then reads the tokenizer of the folder itself.
            "hf_tokenizer_name": "local",
        },
    }


def preprocess_config(model: CLIPModel) -> dict:
    """Squash to a square, bicubic, CLIP's mean and standard deviation."""
    return {
        "size": model.vision_model.config.image_size,
        "mean": OPENAI_CLIP_MEAN,
        "std": OPENAI_CLIP_STD,
        "interpolation": "bicubic",
        "resize_mode": "squash",
    }


def state_dict(model: CLIPModel) -> dict[str, torch.Tensor]:
    """The model's weights under open_clip's names."""
    source = model.state_dict()
    state = {
        "logit_scale": source["logit_scale"],
        "text_projection": source["text_projection.weight"].T,
        "token_embedding.weight": source["text_model.embeddings.token_embedding.weight"],
        "positional_embedding": source["text_model.embeddings.position_embedding.weight"],
        "visual.proj": source["visual_projection.weight"].T,
        "visual.class_embedding": source["vision_model.embeddings.class_embedding"],
        "visual.conv1.weight": source["vision_model.embeddings.patch_embedding.weight"],
        "visual.positional_embedding": source["vision_model.embeddings.position_embedding.weight"],
    }
    norms = {
        "ln_final": "text_model.final_layer_norm",
        "visual.ln_pre": "vision_model.pre_layrnorm",
        "visual.ln_post": "vision_model.post_layernorm",
    }
    blocks = {"transformer.resblocks": "text_model", "visual.transformer.resblocks": "vision_model"}
    for target, tower in blocks.items():
        layers = getattr(model, tower).encoder.layers
        for layer in range(len(layers)):
            theirs, ours = f"{target}.{layer}", f"{tower}.encoder.layers.{layer}"
            norms |= {f"{theirs}.ln_{k}": f"{ours}.layer_norm{k}" for k in (1, 2)}
            for kind in ("weight", "bias"):
                stacked = [source[f"{ours}.self_attn.{p}_proj.{kind}"] for p in "qkv"]
                state[f"{theirs}.attn.in_proj_{kind}"] = torch.cat(stacked)
                for their_part, our_part in (
                    ("attn.out_proj", "self_attn.out_proj"),
                    ("mlp.c_fc", "mlp.fc1"),
                    ("mlp.c_proj", "mlp.fc2"),
                ):
                    state[f"{theirs}.{their_part}.{kind}"] = source[f"{ours}.{our_part}.{kind}"]
    for target, origin in norms.items():
        for kind in ("weight", "bias"):
            state[f"{target}.{kind}"] = source[f"{origin}.{kind}"]
    return {key: value.clone().contiguous() for key, value in state.items()}
