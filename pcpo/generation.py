"""Images of a policy: prompts x seeds, the same noise for every policy, written as open shards.

Image k of a prompt depends on (sampler, prompt, k) alone. Floating-point sums depend on the shape
of a forward, so the forward always runs `forward_batch` images (a short last batch is filled up):
how the images are split into calls or processes then changes no pixel.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from pcpo.trajectory import gaussian_noise, sample

if TYPE_CHECKING:
    from pcpo.policies.base import Policy
    from pcpo.samplers import Sampler

INDEX = "index.csv"


def generate(
    policy: Policy,
    sampler: Sampler,
    guidance_scale: float,
    items: Sequence[tuple[str, int]],
    forward_batch: int,
    stream: str = "evaluation",
) -> Iterator[Tensor]:
    """Yield one image `uint8 (3, H, W)` per item `(prompt, seed)`, in order.

    `stream` names the family of noises; images of different streams are independent.
    """
    for start in range(0, len(items), forward_batch):
        own = list(items[start : start + forward_batch])
        padded = own + [own[-1]] * (forward_batch - len(own))
        keys: list[tuple[str | int, ...]] = [(stream, prompt, seed) for prompt, seed in padded]
        noise = gaussian_noise(keys, len(sampler) + 1, policy.latent_shape).to(policy.device)
        conditioning = policy.encode([prompt for prompt, _ in padded])
        trajectory = sample(
            policy.conditioned(conditioning, guidance_scale),
            sampler,
            noise[:, 0],
            noise[:, 1:],
        )
        yield from policy.decode(trajectory.final)[: len(own)]


def write_images(
    folder: Path, rows: Sequence[tuple[int, str, int]], images: Iterable[Tensor]
) -> None:
    """Write one zip of PNGs per prompt and an index; the index comes last.

    rows: `(prompt_id, prompt, seed)` for each image, grouped by prompt.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX).unlink(missing_ok=True)
    index = pd.DataFrame(rows, columns=["prompt_id", "prompt", "seed"])
    index["shard"] = [f"prompt_{i:03d}.zip" for i in index["prompt_id"]]
    index["file"] = [f"seed_{seed:04d}.png" for seed in index["seed"]]
    stream = iter(images)
    for shard, group in index.groupby("shard", sort=False):
        part = folder / f"{shard}.part"
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            for file in group["file"]:
                buffer = io.BytesIO()
                pixels = next(stream).permute(1, 2, 0).numpy()
                Image.fromarray(pixels).save(buffer, format="PNG")
                # A fixed date, so that equal images give equal shards.
                archive.writestr(
                    zipfile.ZipInfo(str(file), (2026, 1, 1, 0, 0, 0)), buffer.getvalue()
                )
        os.replace(part, folder / str(shard))
    part = folder / f"{INDEX}.part"
    index.to_csv(part, index=False)
    os.replace(part, folder / INDEX)


def read_index(folder: Path) -> pd.DataFrame:
    """The index of a folder of images: prompt_id, prompt, seed, shard, file."""
    path = folder / INDEX
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: there are no images in {folder}")
    return pd.read_csv(path)


def read_images(folder: Path, index: pd.DataFrame) -> Tensor:
    """The images of the rows of `index`, `uint8 (N, 3, H, W)`.

    Raises ValueError for a damaged shard or an image that is not RGB.
    """
    images: dict[int, Tensor] = {}
    for shard, rows in index.assign(position=range(len(index))).groupby("shard", sort=False):
        try:
            with zipfile.ZipFile(folder / str(shard)) as archive:
                for position, file in zip(rows["position"], rows["file"], strict=True):
                    image = Image.open(io.BytesIO(archive.read(file)))
                    if image.mode != "RGB":
                        raise ValueError(f"{folder / str(shard)}: {file} is {image.mode}, not RGB")
                    images[position] = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        except (zipfile.BadZipFile, KeyError, FileNotFoundError) as error:
            raise ValueError(
                f"{folder / str(shard)}: the shard is missing or damaged ({error}); delete "
                f"{folder / INDEX} so that the workflow makes the images anew"
            ) from error
    return torch.stack([images[position] for position in range(len(index))])
