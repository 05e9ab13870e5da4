"""Stable Diffusion 1.x: a UNet that predicts noise."""

from __future__ import annotations

from typing import Any

from diffusers import StableDiffusionPipeline
from torch import Tensor

from pcpo.policies.base import Policy
from pcpo.policies.embeddings import Conditioning


class Adapter(Policy):
    """latents `(B, C, h, w)`, timesteps integer-valued in 0..999."""

    pipeline_class = StableDiffusionPipeline
    denoiser_name = "unet"
    without = ("safety_checker", "feature_extractor", "image_encoder")
    compile_blocks = False  # convolutions outside the repeated blocks take most time

    @property
    def latent_shape(self) -> tuple[int, ...]:
        side = self.resolution // self.pipeline.vae_scale_factor
        return (self.denoiser.config.in_channels, side, side)

    def _encode(self, encoders: Any, prompts: list[str]) -> Conditioning:
        embeds, _ = encoders.encode_prompt(
            prompts, self.device, num_images_per_prompt=1, do_classifier_free_guidance=False
        )
        return {"encoder_hidden_states": embeds}

    def _forward(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        return self.denoiser(latents, timesteps.long(), **conditioning).sample

    def _to_vae(self, latents: Tensor) -> Tensor:
        return latents
