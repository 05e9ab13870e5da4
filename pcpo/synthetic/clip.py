"""A small CLIP, trained contrastively on the captioned drawings (transformers' CLIPModel).

The base of the demo's PickScore, HPS and aesthetic models, and its CLIPScore.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from pcpo.records.replace import new_folder
from pcpo.synthetic import drawing
from pcpo.synthetic.captioned import clip_normalised, draw_captions, pad_tokens, pick
from pcpo.synthetic.pretraining import generators, warm_then_decay
from pcpo.synthetic.tokenizers import MAX_TOKENS, clip_tokenizer

WIDE_SHARE = 0.3  # of its drawings; in wide ones a border can hide what the caption names
MAX_LOGIT_SCALE = 30.0  # 100 in CLIP; a lower cap keeps scores of imperfect images graded


def new_clip(tokenizer: CLIPTokenizer, width: int, seed: int) -> CLIPModel:
    """A random CLIPModel for 32 px images."""
    tower = {
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_attention_heads": 4,
        "projection_dim": width,
        "hidden_act": "gelu",
    }
    text = tower | {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": MAX_TOKENS,
        "num_hidden_layers": 1,
        # Never 2: transformers would then pool at the largest id instead of at the end token.
        "eos_token_id": tokenizer.eos_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = tower | {"image_size": drawing.IMAGE_SIZE, "patch_size": 8, "num_hidden_layers": 2}
    config = CLIPConfig(
        text_config=text,
        vision_config=vision,
        projection_dim=width,
        logit_scale_init_value=float(np.log(10)),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CLIPModel(config)


def train_clip(sizes: Mapping[str, Any], seed: int) -> tuple[CLIPModel, CLIPTokenizer]:
    """Symmetric InfoNCE on batches of distinct captions.

    `sizes`: steps, batch (at most 180), width, drawings_per_caption.
    """
    rng, generator = generators("clip", seed)
    images = draw_captions(sizes["drawings_per_caption"], rng, WIDE_SHARE)
    tokenizer = clip_tokenizer()
    tokens = pad_tokens(tokenizer, drawing.CAPTIONS, MAX_TOKENS)
    model = new_clip(tokenizer, sizes["width"], seed).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
    schedule = warm_then_decay(optimizer, sizes["steps"])
    for _ in range(sizes["steps"]):
        captions = torch.randperm(len(drawing.CAPTIONS), generator=generator)[: sizes["batch"]]
        batch = {key: value[captions] for key, value in tokens.items()}
        image, text = embed(model, pick(images, captions, generator), batch)
        loss = contrastive_loss(image, text, model.logit_scale.exp())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            model.logit_scale.clamp_(max=float(np.log(MAX_LOGIT_SCALE)))
    return model.eval(), tokenizer


def embed(
    model: CLIPModel, images: torch.Tensor, tokens: Mapping[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit-length embeddings (B, d) of uint8 images and of tokens."""
    image = model.get_image_features(pixel_values=clip_normalised(images)).pooler_output
    text = model.get_text_features(**tokens).pooler_output
    return functional.normalize(image, dim=-1), functional.normalize(text, dim=-1)


def contrastive_loss(
    image: torch.Tensor, text: torch.Tensor, scale: torch.Tensor | float
) -> torch.Tensor:
    """Symmetric InfoNCE of matching rows."""
    logits = scale * image @ text.T
    labels = torch.arange(len(logits))
    by_image = functional.cross_entropy(logits, labels)
    return (by_image + functional.cross_entropy(logits.T, labels)) / 2


@torch.no_grad()
def zero_shot_accuracy(model: CLIPModel, tokenizer: CLIPTokenizer, images: torch.Tensor) -> float:
    """Share of drawings (180, n, 3, 32, 32) whose nearest caption of all 180 is their own."""
    tokens = pad_tokens(tokenizer, drawing.CAPTIONS, MAX_TOKENS)
    image, text = embed(model, images.flatten(0, 1), tokens)
    found = (image @ text.T).argmax(dim=1).reshape(images.shape[:2])
    return (found == torch.arange(len(images))[:, None]).float().mean().item()


def save_clip(
    model: CLIPModel, tokenizer: CLIPTokenizer, folder: Path, captions: Sequence[str] = ()
) -> None:
    """CLIPModel, tokenizer and, for a captioner, captions.txt: what it can say."""
    with new_folder(folder) as part:
        model.save_pretrained(part)
        tokenizer.save_pretrained(part)
        if captions:
            text = "\n".join(captions) + "\n"
            (part / "captions.txt").write_text(text, encoding="utf-8")


def load_clip(folder: Path) -> tuple[CLIPModel, CLIPTokenizer]:
    """What `save_clip` wrote."""
    model = CLIPModel.from_pretrained(folder, local_files_only=True)
    return model.eval(), CLIPTokenizer.from_pretrained(folder, local_files_only=True)
