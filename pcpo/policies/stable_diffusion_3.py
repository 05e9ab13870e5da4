"""Stable Diffusion 3: a transformer that predicts velocity; two CLIP encoders and a T5."""

from __future__ import annotations

from diffusers import StableDiffusion3Pipeline
from torch import Tensor

from pcpo.policies.base import Conditioning, Policy

T5_TOKENS = 128  # flow_grpo config: max_sequence_length


class Adapter(Policy):
    """latents `(B, C, h, w)`, timesteps in 0..1000, not rounded."""

    pipeline_class = StableDiffusion3Pipeline
    denoiser_name = "transformer"

    @property
    def latent_shape(self) -> tuple[int, ...]:
        side = self.resolution // self.pipeline.vae_scale_factor
        return (self.denoiser.config.in_channels, side, side)

    def _encode(self, prompts: list[str]) -> Conditioning:
        embeds, _, pooled, _ = self.pipeline.encode_prompt(
            prompts,
            None,
            None,
            device=self.device,
            do_classifier_free_guidance=False,
            max_sequence_length=min(T5_TOKENS, self.pipeline.tokenizer_3.model_max_length),
        )
        return {"encoder_hidden_states": embeds, "pooled_projections": pooled}

    def _forward(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        return self.denoiser(latents, timestep=timesteps.to(latents.dtype), **conditioning).sample

    def _to_vae(self, latents: Tensor) -> Tensor:
        return latents
