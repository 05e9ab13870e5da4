"""The rewards' weights in their published folders and files."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import Tensor
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

from pcpo.cost.architectures import CLIPS
from pcpo.rewards._blip import BlipScorer, build_towers, to_published
from pcpo.rewards._linear_chain import LinearChain
from pcpo.rewards.hps import CHECKPOINTS
from tests.published import tokenizers
from tests.published.random_weights import cast, write_pickle, write_safetensors
from tests.published.sizes import Size

LENGTH = 12  # tokens that a small model reads
VOCABULARY = 400  # of a small model: more than its tokenizers have
_TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
_SMALL_TEXT = {
    **_TOWER, "num_hidden_layers": 1, "vocab_size": VOCABULARY, "max_position_embeddings": LENGTH
}  # fmt: skip
_SMALL_IMAGE = {**_TOWER, "num_hidden_layers": 2, "patch_size": 8, "image_size": 32}
_IDS = {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}  # as published
_NO_IDS = ("bos_token_id", "eos_token_id", "sep_token_id")
# ImageReward's image and text towers
BLIP: dict[Size, tuple[dict[str, int], dict[str, int]]] = {
    "true": (
        {
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "image_size": 224,
            "patch_size": 16,
        },
        {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "max_position_embeddings": 512,
            "vocab_size": 30524,
        },
    ),
    "small": (
        {**_TOWER, "hidden_size": 64, "num_attention_heads": 1, "num_hidden_layers": 2}
        | {"image_size": 32, "patch_size": 8},
        {**_TOWER, "num_hidden_layers": 2, "max_position_embeddings": 64}
        | {"vocab_size": VOCABULARY},
    ),
}


def _clip(name: str, size: Size, act: str) -> CLIPModel:
    """The transformers CLIP behind a reward, on the meta device."""
    text, image, width = CLIPS[name] if size == "true" else (_SMALL_TEXT, _SMALL_IMAGE, 32)
    shared = {"projection_dim": width, "hidden_act": act}
    config = CLIPConfig(
        text_config=text | shared | _IDS, vision_config=image | shared, projection_dim=width
    )
    config.architectures = ["CLIPModel"]
    with torch.device("meta"):
        return CLIPModel(config)


def _save_clip(model: CLIPModel, folder: Path, seed: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    model.config.save_pretrained(folder)
    state = model.state_dict()
    for tower in ("text", "vision"):
        part: Any = getattr(model, f"{tower}_model").embeddings.position_ids
        state[f"{tower}_model.embeddings.position_ids"] = part
    write_safetensors(folder / "model.safetensors", state, seed)


def _preprocessor(model: CLIPModel, folder: Path) -> None:
    side = model.config.vision_config.image_size
    processor = CLIPImageProcessor(size={"shortest_edge": side}, crop_size=side)
    processor.save_pretrained(folder)


def head(size: Size) -> dict[str, Tensor]:
    """LAION's head: linear layers without activations."""
    widths = (768 if size == "true" else 32, 1024, 128, 64, 16, 1)
    with torch.device("meta"):
        return LinearChain(_layers((0, 2, 4, 6, 7), widths)).state_dict()


def _layers(numbers: tuple[int, ...], widths: tuple[int, ...]) -> dict[int, tuple[int, int]]:
    return dict(zip(numbers, pairwise(widths), strict=True))


def _aesthetic(folder: Path, size: Size) -> None:
    model = _clip("aesthetic", size, "quick_gelu")
    _save_clip(model, folder / "backbone", "aesthetic")
    _preprocessor(model, folder / "backbone")
    write_pickle(folder / "sac+logos+ava1-l14-linearMSE.pth", head(size), "aesthetic head")


def _pickscore(folder: Path, size: Size) -> None:
    model = _clip("pickscore", size, "gelu")
    _save_clip(model, folder, "pickscore")
    tokenizers.save_clip(folder / "processor", size, length=LENGTH)
    _preprocessor(model, folder / "processor")


def open_clip_config(size: Size, pixels: int) -> dict[str, Any]:
    """open_clip's configuration of a ViT-H/14, or of a small one."""
    if size == "true":
        name = "ViT-H-14" if pixels == 224 else "ViT-H-14-378-quickgelu"
        return dict(open_clip.get_model_config(name))
    vision = {"image_size": pixels, "layers": 2, "width": 32, "head_width": 8, "patch_size": 8}
    text = {
        "context_length": LENGTH,
        "vocab_size": VOCABULARY,
        "width": 32,
        "heads": 4,
        "layers": 1,
    }
    # Any name: open_clip then reads the tokenizer of the folder itself.
    return {
        "embed_dim": 32,
        "vision_cfg": vision,
        "text_cfg": text | {"layers": 1, "hf_tokenizer_name": "local"},
    }


def open_clip_tensors(config: dict[str, Any]) -> dict[str, Tensor]:
    """The state dict of an open_clip model, on the meta device."""
    own = {**config, "text_cfg": {k: v for k, v in config["text_cfg"].items() if k[:3] != "hf_"}}
    with torch.device("meta"):
        return open_clip.CLIP(**own).state_dict()


def _local_open_clip(folder: Path, config: dict[str, Any], size: Size) -> None:
    side = config["vision_cfg"]["image_size"]
    normal = {
        "mean": list(open_clip.OPENAI_DATASET_MEAN),
        "std": list(open_clip.OPENAI_DATASET_STD),
    }
    text = json.dumps({"model_cfg": config, "preprocess_cfg": {**normal, "size": side}}, indent=2)
    (folder / "open_clip_config.json").write_text(text, encoding="utf-8")
    if size == "small":
        tokenizers.save_clip(folder, size, length=LENGTH)


def _clipscore(folder: Path, size: Size) -> None:
    config = open_clip_config(size, 378 if size == "true" else 48)
    _local_open_clip(folder, config, size)
    write_pickle(folder / "open_clip_pytorch_model.bin", open_clip_tensors(config), "clipscore")


def _hps(folder: Path, size: Size) -> None:
    """Two bare checkpoints of open_clip's ViT-H-14 in fp16; a small one needs its configuration."""
    config = open_clip_config(size, 224 if size == "true" else 32)
    state = open_clip_tensors(config)
    if size == "small":
        _local_open_clip(folder, config, size)
        write_safetensors(folder / "open_clip_model.safetensors", state, "hps")
        return
    first, *others = (folder / file for file in CHECKPOINTS.values())
    write_pickle(first, cast(state, torch.float16), "hps", under="state_dict")
    for other in others:  # their sizes are equal; one copy on the disk
        other.unlink(missing_ok=True)
        other.hardlink_to(first)


def blip_tensors(size: Size) -> dict[str, Tensor]:
    """ImageReward's checkpoint: BLIP with a ViT-L/16, its head, and what the score does not use."""
    vision, text = BLIP[size]
    width, inner = vision["hidden_size"], text["hidden_size"]
    with torch.device("meta"):
        towers = build_towers(vision, text | dict.fromkeys(_NO_IDS) | {"pad_token_id": 0})
        layers = LinearChain(_layers((0, 2, 4, 6, 7), (inner, 1024, 128, 64, 16, 1)))
        state = to_published(BlipScorer(*towers, layers))
        positions = torch.empty(1, text["max_position_embeddings"], dtype=torch.int64)
        state["blip.text_encoder.embeddings.position_ids"] = positions
        for tower, inputs in (("vision", width), ("text", inner)):
            state[f"blip.{tower}_proj.weight"] = torch.empty(256, inputs)
            state[f"blip.{tower}_proj.bias"] = torch.empty(256)
    return state


def _imagereward(folder: Path, size: Size) -> None:
    write_pickle(folder / "ImageReward.pt", blip_tensors(size), "imagereward")
    med = {"hidden_act": "gelu", "layer_norm_eps": 1e-12, "pad_token_id": 0, "model_type": "bert"}
    config = json.dumps(BLIP[size][1] | med, indent=2)
    (folder / "med_config.json").write_text(config, encoding="utf-8")
    tokenizers.save_bert(folder / "tokenizer", size)


BUILDERS: dict[str, Callable[[Path, Size], None]] = {
    "aesthetic": _aesthetic,
    "clipscore": _clipscore,
    "hps": _hps,
    "imagereward": _imagereward,
    "pickscore": _pickscore,
}


def save_reward(name: str, folder: Path, size: Size) -> None:
    """A reward's folder."""
    BUILDERS[name](folder, size)
