"""Pretraining of the demo's FLUX: a guidance-distilled flow model, as FLUX.1-dev is.

Phase 1 is plain flow matching with the guidance input at 1. Phase 2 takes a frozen copy as teacher
and learns its classifier-free-guided velocity v_u + g (v_c - v_u) as a function of the guidance
input g. The teacher must be frozen: a live one diverges.
"""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
from torch.nn import functional
from transformers import CLIPTextModel, T5EncoderModel

from pcpo.synthetic.pretraining import (
    CaptionedLatents,
    Training,
    captioned_drawings,
    flow_times,
    generators,
    save_pipeline,
    token_ids,
)
from pcpo.synthetic.stable_diffusion import text_config
from pcpo.synthetic.stable_diffusion_3 import t5_config
from pcpo.synthetic.tokenizers import clip_tokenizer, t5_tokenizer
from pcpo.synthetic.vae import PatchLinearVAE

MAX_TOKENS = 10
TOKENS_PER_SIDE = 4


def build(
    vae: PatchLinearVAE, double: int = 1, single: int = 2, width: int = 96, seed: int = 0
) -> FluxPipeline:
    """An untrained pipeline of `double` two-stream and `single` one-stream blocks."""
    clip, t5 = clip_tokenizer(MAX_TOKENS), t5_tokenizer(MAX_TOKENS)
    text_width = 64
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        text_encoder = CLIPTextModel(text_config(clip, text_width))
        text_encoder_2 = T5EncoderModel(t5_config(t5, text_width))
        transformer = FluxTransformer2DModel(
            patch_size=1,
            in_channels=4 * vae.config.latent_channels,
            num_layers=double,
            num_single_layers=single,
            attention_head_dim=24,
            num_attention_heads=width // 24,
            joint_attention_dim=text_width,
            pooled_projection_dim=text_width,
            guidance_embeds=True,
            axes_dims_rope=(8, 8, 8),
        )
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=clip,
        text_encoder_2=text_encoder_2,
        tokenizer_2=t5,
        transformer=transformer,
    )


class Recipe:
    """The pipeline, its data and one training step's ingredients."""

    def __init__(
        self,
        pipeline: FluxPipeline,
        data: CaptionedLatents,
        generator: torch.Generator,
        batch: int,
        caption_dropout: float,
    ) -> None:
        self.pipeline, self.batch, self.generator = pipeline, batch, generator
        # FLUX's token holds 2 x 2 positions, its channels in the order (channel, row, column).
        self.tokens = functional.pixel_unshuffle(data.latents, 2).flatten(2).transpose(1, 2)
        self.caption, self.caption_dropout = data.caption, caption_dropout
        texts = [*data.captions, ""]
        self.clip_ids = token_ids(pipeline.tokenizer, texts, MAX_TOKENS)
        self.t5_ids = token_ids(pipeline.tokenizer_2, texts, MAX_TOKENS)
        self.empty = len(data.captions)
        self.image_ids = pipeline._prepare_latent_image_ids(
            batch, TOKENS_PER_SIDE, TOKENS_PER_SIDE, "cpu", torch.float32
        )
        self.text_ids = torch.zeros(MAX_TOKENS, 3)

    def draw_batch(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Caption indices, times (B,), noisy tokens and velocity targets (B, 16, 32)."""
        rows = torch.randint(len(self.tokens), (self.batch,), generator=self.generator)
        clean = self.tokens[rows]
        dropped = torch.rand(self.batch, generator=self.generator) < self.caption_dropout
        caption = torch.where(dropped, self.empty, self.caption[rows])
        time = flow_times(self.batch, self.generator)
        noise = torch.randn(clean.shape, generator=self.generator)
        weight = time[:, None, None]
        return caption, time, (1 - weight) * clean + weight * noise, noise - clean

    def encode_text(self, caption: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What `pipeline.encode_prompt` computes: sequence (B, tokens, 64), pooled (B, 64)."""
        pooled = self.pipeline.text_encoder(self.clip_ids[caption]).pooler_output
        return self.pipeline.text_encoder_2(self.t5_ids[caption]).last_hidden_state, pooled

    def velocity(
        self,
        transformer: FluxTransformer2DModel,
        noisy: torch.Tensor,
        time: torch.Tensor,
        guidance: torch.Tensor,
        text: tuple[torch.Tensor, torch.Tensor],
    ) -> torch.Tensor:
        return transformer(
            hidden_states=noisy,
            timestep=time,
            guidance=guidance,
            encoder_hidden_states=text[0],
            pooled_projections=text[1],
            txt_ids=self.text_ids,
            img_ids=self.image_ids,
            return_dict=False,
        )[0]


def pretrain(
    folder: Path,
    steps: int,
    distil_steps: int,
    batch: int = 96,
    drawings: int = 10800,
    double: int = 1,
    single: int = 2,
    width: int = 96,
    learning_rate: float = 1e-2,
    distil_learning_rate: float = 5e-3,
    caption_dropout: float = 0.1,
    seed: int = 0,
) -> None:
    """`steps` of flow matching, then `distil_steps` of guidance distillation; saves the averaged
    weights."""
    rng, generator = generators("flux", seed)
    data = captioned_drawings(rng, drawings, fold=2)
    pipeline = build(data.vae, double, single, width, seed)
    transformer = pipeline.transformer
    encoders = (pipeline.text_encoder, pipeline.text_encoder_2)
    recipe = Recipe(pipeline, data, generator, batch, caption_dropout)
    _flow_matching(recipe, [transformer, *encoders], steps, learning_rate)
    teacher = copy.deepcopy(transformer).eval().requires_grad_(False)
    for encoder in encoders:
        encoder.requires_grad_(False)
    _distil_guidance(recipe, transformer, teacher, distil_steps, distil_learning_rate)
    save_pipeline(pipeline, folder)


def _flow_matching(
    recipe: Recipe, models: list[torch.nn.Module], steps: int, learning_rate: float
) -> None:
    training = Training(models, steps, learning_rate)
    ones = torch.ones(recipe.batch)
    for _ in range(steps):
        caption, time, noisy, target = recipe.draw_batch()
        text = recipe.encode_text(caption)
        velocity = recipe.velocity(models[0], noisy, time, ones, text)
        training.step(functional.mse_loss(velocity, target))
    training.average.swap()


def _distil_guidance(
    recipe: Recipe,
    student: torch.nn.Module,
    teacher: torch.nn.Module,
    steps: int,
    learning_rate: float,
    guided_share: float = 0.75,
    largest_guidance: float = 4.0,
) -> None:
    """`guided_share` of each batch learns guidance in U(1, largest); the rest stays plain."""
    training = Training([student], steps, learning_rate)
    count = round(guided_share * recipe.batch)
    ones = torch.ones(recipe.batch)
    for _ in range(steps):
        caption, time, noisy, target = recipe.draw_batch()
        guidance = ones.clone()
        guidance[:count] += (largest_guidance - 1) * torch.rand(count, generator=recipe.generator)
        with torch.no_grad():
            text = recipe.encode_text(caption)
            no_text = recipe.encode_text(torch.full_like(caption, recipe.empty))
            plain = recipe.velocity(teacher, noisy, time, ones, text)[:count]
            empty = recipe.velocity(teacher, noisy, time, ones, no_text)[:count]
            target[:count] = empty + guidance[:count, None, None] * (plain - empty)
        velocity = recipe.velocity(student, noisy, time, guidance, text)
        training.step(functional.mse_loss(velocity, target))
    training.average.swap()
