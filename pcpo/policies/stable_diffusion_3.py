"""Stable Diffusion 3: a transformer that predicts velocity; two CLIP encoders and a T5."""

from __future__ import annotations

from typing import Any

from diffusers import StableDiffusion3Pipeline
from torch import Tensor

from pcpo.policies.base import Policy
from pcpo.policies.embeddings import Conditioning

T5_TOKENS = 128  # flow_grpo config: max_sequence_length


class Adapter(Policy):
    """latents `(B, C, h, w)`, timesteps in 0..1000, not rounded."""

    pipeline_class = StableDiffusion3Pipeline
    denoiser_name = "transformer"
    vae_in_fp32 = True  # flow_grpo scripts/train_sd3.py:410
    without = ("image_encoder", "feature_extractor")

    @property
    def latent_shape(self) -> tuple[int, ...]:
        side = self.resolution // self.pipeline.vae_scale_factor
        return (self.denoiser.config.in_channels, side, side)

    def _encode(self, encoders: Any, prompts: list[str]) -> Conditioning:
        embeds, _, pooled, _ = encoders.encode_prompt(
            prompts,
            None,
            None,
            device=self.device,
            do_classifier_free_guidance=False,
            max_sequence_length=min(T5_TOKENS, encoders.tokenizer_3.model_max_length),
        )
        return {"encoder_hidden_states": embeds, "pooled_projections": pooled}

    def _forward(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        return self.denoiser(latents, timestep=timesteps.to(latents.dtype), **conditioning).sample

    def _to_vae(self, latents: Tensor) -> Tensor:
        return latents
