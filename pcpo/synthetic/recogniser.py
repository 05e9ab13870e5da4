"""Training of the demo's OCR engine on drawn words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional

from pcpo.records.replace import new_folder
from pcpo.rewards._recogniser import Recogniser
from pcpo.synthetic import drawing, words
from pcpo.synthetic.pretraining import generators, warm_then_decay


def random_words(count: int, rng: np.random.Generator) -> list[str]:
    """Words of two letters to MAX_LETTERS, not only those of the prompts: reading is the task."""
    lengths = rng.integers(2, words.MAX_LETTERS + 1, size=count)
    letters = rng.integers(len(words.LETTERS), size=(count, words.MAX_LETTERS))
    return [
        "".join(words.LETTERS[k] for k in row[:length])
        for row, length in zip(letters, lengths, strict=True)
    ]


def targets(texts: list[str]) -> torch.Tensor:
    """int64 (N, MAX_LETTERS); the class after the last letter means "no letter"."""
    blank = len(words.LETTERS)
    rows = [[words.LETTERS.index(letter) for letter in text] for text in texts]
    return torch.tensor([row + [blank] * (words.MAX_LETTERS - len(row)) for row in rows])


def train_recogniser(sizes: Mapping[str, Any], seed: int) -> Recogniser:
    """Cross entropy per position. `sizes`: steps, batch, width, drawings."""
    rng, generator = generators("recogniser", seed)
    texts = random_words(sizes["drawings"], rng)
    images, labels = words.draw_words(texts, rng), targets(texts)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Recogniser(
            words.LETTERS, words.MAX_LETTERS, drawing.IMAGE_SIZE, sizes["width"]
        ).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = warm_then_decay(optimizer, sizes["steps"])
    for _ in range(sizes["steps"]):
        rows = torch.randint(len(images), (sizes["batch"],), generator=generator)
        loss = functional.cross_entropy(model(images[rows]).flatten(0, 1), labels[rows].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def exact_share(model: Recogniser, count: int, rng: np.random.Generator) -> float:
    """Share of fresh images of the prompts' words that are read without a mistake."""
    texts = [words.WORDS[k % len(words.WORDS)] for k in range(count)]
    read = model.read(words.draw_words(texts, rng))
    return sum(a == b for a, b in zip(read, texts, strict=True)) / count


def save_recogniser(model: Recogniser, folder: Path) -> None:
    """config.json and model.safetensors."""
    with new_folder(folder) as part:
        text = json.dumps(model.config, indent=2) + "\n"
        (part / "config.json").write_text(text, encoding="utf-8")
        save_file(model.state_dict(), part / "model.safetensors")
