"""FLUX.1-dev: a transformer over packed latents, with guidance as an input instead of CFG."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import FluxPipeline
from torch import Tensor

from pcpo.policies.base import Policy
from pcpo.policies.embeddings import Conditioning

T5_TOKENS = 512  # DanceGRPO preprocess_flux_embedding.py


class Adapter(Policy):
    """latents `(B, tokens, channels)`, packed 2x2; timesteps in 0..1000."""

    pipeline_class = FluxPipeline
    denoiser_name = "transformer"
    without = ("image_encoder", "feature_extractor")

    @property
    def _side(self) -> int:
        """Side of the packed latent grid."""
        return self.resolution // (2 * self.pipeline.vae_scale_factor)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return (self._side**2, self.denoiser.config.in_channels)

    def _encode(self, encoders: Any, prompts: list[str]) -> Conditioning:
        embeds, pooled, _ = encoders.encode_prompt(
            prompts,
            None,
            device=self.device,
            max_sequence_length=min(T5_TOKENS, encoders.tokenizer_2.model_max_length),
        )
        return {"encoder_hidden_states": embeds, "pooled_projections": pooled}

    def _forward(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        side, text = self._side, conditioning["encoder_hidden_states"]
        image_ids = self.pipeline._prepare_latent_image_ids(
            len(latents), side, side, latents.device, latents.dtype
        )
        guidance = None
        if self.denoiser.config.guidance_embeds:
            if self.embedded_guidance is None:
                raise ValueError("sampler.embedded_guidance is missing: this model takes guidance")
            guidance = torch.full((len(latents),), self.embedded_guidance, device=latents.device)
        return self.denoiser(
            hidden_states=latents,
            timestep=(timesteps / 1000).to(latents.dtype),  # the model multiplies by 1000
            guidance=guidance,
            txt_ids=torch.zeros(text.shape[1], 3, device=text.device, dtype=text.dtype),
            img_ids=image_ids,
            **conditioning,
        ).sample

    def _to_vae(self, latents: Tensor) -> Tensor:
        return self.pipeline._unpack_latents(
            latents, self.resolution, self.resolution, self.pipeline.vae_scale_factor
        )
