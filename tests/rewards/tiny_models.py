"""A tiny random model for every reward, in the layout that the reward reads."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from pcpo.rewards._recogniser import Recogniser
from pcpo.synthetic import drawing, words
from pcpo.synthetic.bert_embeddings import save_bertscore
from pcpo.synthetic.blip import new_scorer, save_blip
from pcpo.synthetic.clip import new_clip, save_clip
from pcpo.synthetic.open_clip_layout import save_open_clip
from pcpo.synthetic.recogniser import save_recogniser
from pcpo.synthetic.tokenizers import clip_tokenizer

TOKENIZER = clip_tokenizer()
WIDTH = 32


def random_clip(seed: int = 0):
    """A random CLIPModel whose text tower distinguishes captions clearly."""
    model = new_clip(TOKENIZER, WIDTH, seed)
    with torch.no_grad():
        model.text_model.embeddings.token_embedding.weight.mul_(20)
    return model.eval()


def laion_head(seed: int = 0) -> dict[str, torch.Tensor]:
    """Random weights under the keys of LAION's head, with small layers."""
    generator = torch.Generator().manual_seed(seed)
    widths, state = (WIDTH, 24, 16, 8, 4, 1), {}
    for number, inputs, outputs in zip((0, 2, 4, 6, 7), widths[:-1], widths[1:], strict=True):
        weight = torch.randn(outputs, inputs, generator=generator) / inputs**0.5
        state[f"layers.{number}.weight"] = weight
        state[f"layers.{number}.bias"] = torch.randn(outputs, generator=generator)
    return state


def _pickscore(folder: Path) -> dict[str, Any]:
    save_clip(random_clip(), TOKENIZER, folder)
    return {}


def _open_clip(folder: Path) -> dict[str, Any]:
    save_open_clip(random_clip(), TOKENIZER, folder)
    return {}


def _aesthetic(folder: Path) -> dict[str, Any]:
    save_clip(random_clip(), TOKENIZER, folder / "backbone")
    save_file(laion_head(), folder / "head.safetensors")
    return {}


def _imagereward(folder: Path) -> dict[str, Any]:
    save_blip(new_scorer(TOKENIZER, WIDTH, 0), TOKENIZER, folder)
    return {}


def _ocr(folder: Path) -> dict[str, Any]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        save_recogniser(Recogniser(words.LETTERS, words.WORD_LENGTH, width=8), folder)
    return {"engine": "recogniser"}


def _bertscore(folder: Path) -> dict[str, Any]:
    save_bertscore(random_clip(), TOKENIZER, folder, seed=0)
    return {"captioner": "clip_standin", "layer": 0}


def _no_weights(folder: Path) -> dict[str, Any]:
    return {}


# Writes a reward's folder and returns the options to load it with.
BUILDERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "aesthetic": _aesthetic,
    "bertscore": _bertscore,
    "clipscore": _open_clip,
    "hps": _open_clip,
    "imagereward": _imagereward,
    "layout": _no_weights,
    "ocr": _ocr,
    "pickscore": _pickscore,
    "texture": _no_weights,
}


WITH_WEIGHTS = [
    name for name in BUILDERS if import_module(f"pcpo.rewards.{name}").Reward.has_weights
]


def prompts_for(name: str, count: int) -> list[str]:
    """Different prompts that the reward accepts."""
    if name == "ocr":
        return [words.prompt(word) for word in words.WORDS[:count]]
    return list(drawing.CAPTIONS[40 : 40 + count])


def noise_images(count: int, height: int = 32, width: int = 32, seed: int = 0) -> torch.Tensor:
    """uint8 (count, 3, height, width): smooth noise, of which resizing keeps the gist."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 6, 6, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    return (fine.clamp(0, 1) * 255).round().to(torch.uint8)
