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
    """Any four letters, not only the words of the prompts: reading is the task."""
    letters = rng.integers(len(words.LETTERS), size=(count, words.WORD_LENGTH))
    return ["".join(words.LETTERS[k] for k in row) for row in letters]


def targets(texts: list[str], strengths: np.ndarray) -> torch.Tensor:
    """int64 (N, WORD_LENGTH); the class after the last letter means "no letter": pale ink."""
    letters = torch.tensor([[words.LETTERS.index(letter) for letter in text] for text in texts])
    return letters.where(torch.from_numpy(strengths) >= words.READABLE, len(words.LETTERS))


def train_recogniser(sizes: Mapping[str, Any], seed: int) -> Recogniser:
    """Cross entropy per position. `sizes`: steps, batch, width, drawings."""
    rng, generator = generators("recogniser", seed)
    texts = random_words(sizes["drawings"], rng)
    strengths = words.ink_strengths(len(texts), rng)
    strengths[::2] = rng.uniform(0, 1, strengths[::2].shape)  # training may go beyond the base
    images, labels = words.draw_words(texts, rng, strengths), targets(texts, strengths)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Recogniser(
            words.LETTERS, words.WORD_LENGTH, drawing.IMAGE_SIZE, sizes["width"]
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


def letters_right(model: Recogniser, count: int, rng: np.random.Generator) -> float:
    """Share of letters, in fresh images of the prompts' words, read as they should be: a strong
    letter as itself, a pale one as none."""
    texts = [words.WORDS[k % len(words.WORDS)] for k in range(count)]
    strengths = words.ink_strengths(count, rng)
    with torch.no_grad():
        found = model(words.draw_words(texts, rng, strengths)).argmax(dim=-1)
    return (found == targets(texts, strengths)).double().mean().item()


def save_recogniser(model: Recogniser, folder: Path) -> None:
    """config.json and model.safetensors."""
    with new_folder(folder) as part:
        text = json.dumps(model.config, indent=2) + "\n"
        (part / "config.json").write_text(text, encoding="utf-8")
        save_file(model.state_dict(), part / "model.safetensors")
