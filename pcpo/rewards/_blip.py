"""ImageReward's network out of transformers' BLIP classes.

The published checkpoint names its tensors as the original BLIP code does; `to_transformers` renames
them (outputs are bit-identical), `to_published` is the inverse, with which `pcpo.synthetic` writes
its small model. Depth, widths and patch size are read from the tensors' shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import BlipTextConfig, BlipTextModel, BlipVisionConfig, BlipVisionModel

from pcpo.rewards._linear_chain import LinearChain, chain_from_state_dict

_VISION, _TEXT, _HEAD = "blip.visual_encoder.", "blip.text_encoder.", "mlp."
_RENAMED = (  # published part of a vision key -> transformers' part
    ("patch_embed.proj.", "embeddings.patch_embedding."),
    ("cls_token", "embeddings.class_embedding"),
    ("pos_embed", "embeddings.position_embedding"),
    ("blocks.", "encoder.layers."),
    (".attn.qkv.", ".self_attn.qkv."),
    (".attn.proj.", ".self_attn.projection."),
    (".norm1.", ".layer_norm1."),
    (".norm2.", ".layer_norm2."),
)
# Of BLIP's pre-training only; the score does not use them.
_UNUSED = ("blip.vision_proj.", "blip.text_proj.", "blip.text_encoder.embeddings.position_ids")


class BlipScorer(nn.Module):
    """Image tokens -> text encoder that cross-attends to them -> head on the first token."""

    def __init__(self, vision: BlipVisionModel, text: BlipTextModel, head: LinearChain):
        super().__init__()
        self.vision, self.text, self.head = vision, text, head

    @property
    def image_size(self) -> int:
        """Side of the square input in pixels."""
        size = self.vision.config.image_size
        return size if isinstance(size, int) else size[0]

    @property
    def device(self) -> torch.device:
        return self.vision.device

    def forward(
        self, pixels: torch.Tensor, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        """float (B, 3, H, W) normalised, int64 (B, L) twice -> (B,), not standardised."""
        image_tokens = self.vision(pixel_values=pixels).last_hidden_state
        states = self.text(
            input_ids=input_ids,
            attention_mask=attention_mask,
            encoder_hidden_states=image_tokens,
            is_decoder=False,  # bidirectional; in the configuration it is True (see below)
        ).last_hidden_state
        return self.head(states[:, 0])


def build_towers(
    vision: Mapping[str, Any], text: Mapping[str, Any]
) -> tuple[BlipVisionModel, BlipTextModel]:
    """Random BLIP towers; the arguments go to BlipVisionConfig and BlipTextConfig."""
    vision_config = BlipVisionConfig(hidden_act="gelu", layer_norm_eps=1e-6, **vision)
    # Only a decoder's configuration creates the cross-attention layers.
    text_config = BlipTextConfig(
        is_decoder=True, encoder_hidden_size=vision_config.hidden_size, **text
    )
    return BlipVisionModel(vision_config), BlipTextModel(text_config, add_pooling_layer=False)


def load_scorer(
    state: Mapping[str, torch.Tensor], med_config: Mapping[str, Any], source: object
) -> BlipScorer:
    """The network of a checkpoint with the published names.

    `med_config` is the BERT configuration beside it (`med_config.json`); the optional key
    `vision_num_attention_heads` replaces the default, 64 channels per head.

    Raises:
        ValueError: a tensor is missing, left over or of the wrong shape; names `source`.
    """
    vision, text, head = to_transformers(state)
    try:
        towers = build_towers(*_shapes(vision, text, med_config))
        for tower, tensors in zip(towers, (vision, text), strict=True):
            tower.load_state_dict(tensors)
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{source} is not a checkpoint of ImageReward: {error}") from error
    return BlipScorer(*towers, chain_from_state_dict(head, source)).eval()


def _shapes(
    vision: Mapping[str, torch.Tensor],
    text: Mapping[str, torch.Tensor],
    med_config: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Any]]:
    width, _, patch, _ = vision["embeddings.patch_embedding.weight"].shape
    patches = vision["embeddings.position_embedding"].shape[1] - 1
    layers = {key.split(".")[2] for key in vision if key.startswith("encoder.layers.")}
    vision_config = {
        "hidden_size": width,
        "intermediate_size": vision["encoder.layers.0.mlp.fc1.weight"].shape[0],
        "num_hidden_layers": len(layers),
        "num_attention_heads": med_config.get("vision_num_attention_heads", width // 64),
        "image_size": patch * round(patches**0.5),
        "patch_size": patch,
    }
    from_file = (
        "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "hidden_act", "layer_norm_eps", "max_position_embeddings",
    )  # fmt: skip
    text_config = {key: med_config[key] for key in from_file}
    text_config |= {
        "vocab_size": text["embeddings.word_embeddings.weight"].shape[0],
        "bos_token_id": None,  # of text generation only
        "eos_token_id": None,
        "sep_token_id": None,
        "pad_token_id": med_config.get("pad_token_id", 0),
    }
    return vision_config, text_config


def to_transformers(
    state: Mapping[str, torch.Tensor],
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Published names -> state dicts of BlipVisionModel, BlipTextModel and the head."""
    vision, text, head = {}, {}, {}
    for key, value in state.items():
        if key.startswith(_UNUSED):
            continue
        if key.startswith(_VISION):
            vision[_rename_vision(key.removeprefix(_VISION))] = value
        elif key.startswith(_TEXT):
            text[key.removeprefix(_TEXT)] = value
        else:
            head[key.removeprefix(_HEAD)] = value
    return vision, text, head


def _rename_vision(key: str) -> str:
    for published, ours in _RENAMED:
        key = key.replace(published, ours)
    return f"post_layernorm.{key.removeprefix('norm.')}" if key.startswith("norm.") else key


def to_published(scorer: BlipScorer) -> dict[str, torch.Tensor]:
    """The inverse of `to_transformers`."""
    state = {}
    for key, value in scorer.vision.state_dict().items():
        key = key.replace("post_layernorm.", "norm.")
        for published, ours in _RENAMED:
            key = key.replace(ours, published)
        state[_VISION + key] = value
    state |= {_TEXT + key: value for key, value in scorer.text.state_dict().items()}
    return state | {_HEAD + key: value for key, value in scorer.head.state_dict().items()}
