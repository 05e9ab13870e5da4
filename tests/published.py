"""Small random models in the classes and folder layouts of the published ones, no class of ours."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, DiffusionPipeline

from pcpo.config import ModelSource

# Model -> latent channels and blocks of a VAE that fits the small denoisers of conftest.py
VAES = {"sd14": (32, 4), "sd15": (32, 4), "sd35m": (8, 3), "flux": (8, 3)}


def save_pipeline(models: dict[str, ModelSource], name: str, folder: Path) -> None:
    """A pipeline of conftest.py with an AutoencoderKL in place of the demo's VAE."""
    channels, blocks = VAES[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(channels + blocks)
        vae = AutoencoderKL(
            block_out_channels=(8,) * blocks,
            down_block_types=("DownEncoderBlock2D",) * blocks,
            up_block_types=("UpDecoderBlock2D",) * blocks,
            latent_channels=channels,
            layers_per_block=1,
            norm_num_groups=4,
        )
    DiffusionPipeline.from_pretrained(models[name].path, vae=vae).save_pretrained(folder)
