"""How well the pretrained pipelines draw what a caption says, according to the quality network.

Images come from the plain diffusers pipeline call, so this also checks the saved folders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from diffusers import DiffusionPipeline, FluxPipeline, StableDiffusion3Pipeline
from PIL import Image

import pcpo.synthetic.vae  # noqa: F401  (from_pretrained looks the class up in this module)
from pcpo.features.quality_network import load_network
from pcpo.records.replace import new_file
from pcpo.synthetic import drawing, words
from pcpo.synthetic.quality_network import ATTRIBUTES, attribute_hits, held_out_accuracy

STEPS = 10
COLUMNS = (
    "model", "attribute", "guidance_scale", "steps", "images", "accuracy", "bar", "passed",
)  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """One model at the guidance scale of its trainings; `bars` are the least accuracies by
    attribute."""

    model: str
    guidance_scale: float
    bars: dict[str, float]


TRIALS = (
    Trial("sd14", 2.0, {"colour": 0.9, "shape": 0.6}),
    Trial("sd15", 2.0, {"colour": 0.9, "shape": 0.6}),
    Trial("sd35m", 3.0, {"colour": 0.95, "shape": 0.85}),
    Trial("sd35m", 1.0, {}),
    Trial("flux", 3.5, {"colour": 0.95, "shape": 0.65}),
)


def measure(folder: Path, images_per_caption: int, seed: int = 0) -> pd.DataFrame:
    """One row per model, guidance scale and attribute (columns: COLUMNS; no bar where none is
    set), the quality network's own accuracy on fresh drawings first. Writes
    `<folder>/samples_<model>.png`.
    """
    rows: list[tuple] = []
    drawings = 10 * len(drawing.CAPTIONS)
    place = folder / "quality_network"
    for attribute, accuracy in held_out_accuracy(place, drawings, seed).items():
        rows.append(("quality_network", attribute, None, None, drawings, accuracy, None, None))
    network = load_network(place)
    captions = list(drawing.CAPTIONS) * images_per_caption
    scenes = [drawing.parse_caption(text) for text in captions]
    for trial in TRIALS:
        pipeline = DiffusionPipeline.from_pretrained(folder / trial.model)
        images = generate(pipeline, captions, trial.guidance_scale, seed)
        hits = attribute_hits(network, images, scenes).mean(axis=0)
        for attribute, accuracy in zip(ATTRIBUTES, hits.tolist(), strict=True):
            bar = trial.bars.get(attribute)
            passed = None if bar is None else accuracy >= bar
            setting = (trial.guidance_scale, STEPS, len(images))
            rows.append((trial.model, attribute, *setting, accuracy, bar, passed))
        if trial.bars:
            sheet = images[: len(drawing.CAPTIONS)]
            if trial.model == "sd35m":
                word_prompts = [words.prompt(word) for word in words.WORDS]
                drawn_words = generate(pipeline, word_prompts, trial.guidance_scale, seed)
                sheet = torch.cat([sheet, drawn_words])
            with new_file(folder / f"samples_{trial.model}.png") as part:
                contact_sheet(sheet).save(part, format="PNG")
    return pd.DataFrame(rows, columns=list(COLUMNS))


def generate(
    pipeline: DiffusionPipeline,
    prompts: Sequence[str],
    guidance_scale: float,
    seed: int,
    steps: int = STEPS,
    batch: int = 90,
) -> torch.Tensor:
    """uint8 (N, 3, 32, 32) from the plain pipeline call with the scheduler that was saved."""
    pipeline.set_progress_bar_config(disable=True)
    options = {}
    # The defaults (256 and 512 tokens) are longer than anything that these models were trained on.
    if isinstance(pipeline, StableDiffusion3Pipeline):
        options["max_sequence_length"] = pipeline.tokenizer_3.model_max_length
    elif isinstance(pipeline, FluxPipeline):
        options["max_sequence_length"] = pipeline.tokenizer_2.model_max_length
    images = []
    for start in range(0, len(prompts), batch):
        part = pipeline(
            list(prompts[start : start + batch]),
            guidance_scale=guidance_scale,
            num_inference_steps=steps,
            height=drawing.IMAGE_SIZE,
            width=drawing.IMAGE_SIZE,
            generator=torch.Generator().manual_seed(seed + start),
            output_type="pt",
            **options,
        ).images
        images.append((part * 255).round().clamp(0, 255).to(torch.uint8))
    return torch.cat(images)


def contact_sheet(images: torch.Tensor, columns: int = 18, scale: int = 2) -> Image.Image:
    """Images side by side with a white line between, enlarged `scale` times."""
    count, _, height, width = images.shape
    lines = -(-count // columns)
    sheet = torch.full((3, lines * (height + 1) + 1, columns * (width + 1) + 1), 255).byte()
    for k, image in enumerate(images):
        top, left = 1 + (k // columns) * (height + 1), 1 + (k % columns) * (width + 1)
        sheet[:, top : top + height, left : left + width] = image
    picture = Image.fromarray(sheet.permute(1, 2, 0).numpy())
    return picture.resize((scale * picture.width, scale * picture.height), Image.Resampling.NEAREST)
