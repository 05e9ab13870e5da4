"""Training of the quality network (`pcpo.features.quality_network`) on drawings of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn import functional

from pcpo.features.quality_network import QualityNetwork, load_network
from pcpo.records.replace import new_folder
from pcpo.synthetic import drawing
from pcpo.synthetic.pretraining import generators, warm_then_decay

ATTRIBUTES = ("colour", "shape", "activity")


def train_quality_network(
    folder: Path,
    steps: int,
    batch: int = 96,
    drawings: int = 7200,
    learning_rate: float = 3e-3,
    seed: int = 0,
) -> None:
    """Train for `steps` batches and write `config.json` and `model.safetensors` into `folder`.

    Noise on the pixels keeps the network from relying on details that generated images lack.
    """
    rng, generator = generators("judge", seed)  # names the random stream: another name, other data
    scenes = [drawing.parse_caption(drawing.CAPTIONS[k % 180]) for k in range(drawings)]
    pixels, labels = drawing.from_uint8(drawing.draw(scenes, rng)), attribute_labels(scenes)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = QualityNetwork()
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate, weight_decay=0.01)
    schedule = warm_then_decay(optimizer, steps, warm_up=min(20, steps), hold=0.3)
    for _ in range(steps):
        rows = torch.randint(len(pixels), (batch,), generator=generator)
        strength = torch.rand(batch, 1, 1, 1, generator=generator) * 0.2
        noise = torch.randn(batch, *pixels.shape[1:], generator=generator)
        outputs = network(pixels[rows] + strength * noise)
        losses = [
            functional.cross_entropy(output, labels[rows, k]) for k, output in enumerate(outputs)
        ]
        optimizer.zero_grad()
        torch.stack(losses).sum().backward()
        optimizer.step()
        schedule.step()
    with new_folder(folder) as part:
        config = {
            "channels": list(network.channels),
            "classes": list(network.classes),
        }
        (part / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        save_file(network.state_dict(), part / "model.safetensors")


def attribute_labels(scenes: list[drawing.Scene]) -> torch.Tensor:
    """int64 (N, 3): the classes of colour, shape and activity."""
    none = drawing.NO_ACTIVITY
    rows = [(s.colour, s.shape, none if s.activity is None else s.activity) for s in scenes]
    return torch.tensor(rows, dtype=torch.int64)


@torch.no_grad()
def attribute_hits(
    network: QualityNetwork, images: torch.Tensor, scenes: list[drawing.Scene]
) -> np.ndarray:
    """bool (N, 3): the network sees the colour, the shape and the activity of each scene."""
    seen = torch.stack([out.argmax(dim=1) for out in network(drawing.from_uint8(images))], dim=1)
    return (seen == attribute_labels(scenes)).numpy()


def held_out_accuracy(folder: Path, count: int = 1800, seed: int = 0) -> dict[str, float]:
    """The network's accuracy on drawings that it was not trained on."""
    rng, _ = generators("judge held out", seed)
    scenes = [drawing.parse_caption(drawing.CAPTIONS[k % 180]) for k in range(count)]
    hits = attribute_hits(load_network(folder), drawing.draw(scenes, rng), scenes)
    return dict(zip(ATTRIBUTES, hits.mean(axis=0).tolist(), strict=True))
