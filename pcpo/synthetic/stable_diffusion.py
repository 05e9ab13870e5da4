"""Pretraining of the demo's SD1.4 and SD1.5: two checkpoints of one run.

The classes, noise schedule and sampler settings are Stable Diffusion 1.x's; the sizes are not.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from pcpo.synthetic.pretraining import (
    Training,
    captioned_drawings,
    generators,
    save_pipeline,
    token_ids,
)
from pcpo.synthetic.tokenizers import clip_tokenizer
from pcpo.synthetic.vae import PatchLinearVAE

MAX_TOKENS = 10


def build(vae: PatchLinearVAE, width: int = 64, seed: int = 0) -> StableDiffusionPipeline:
    """An untrained pipeline; `width` is the UNet's and the text encoder's number of channels."""
    tokenizer = clip_tokenizer(MAX_TOKENS)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        text_encoder = CLIPTextModel(text_config(tokenizer, width))
        unet = UNet2DConditionModel(
            sample_size=4,
            in_channels=vae.config.latent_channels,
            out_channels=vae.config.latent_channels,
            block_out_channels=(width, width),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=width,
            attention_head_dim=4,
            norm_num_groups=16,
        )
    scheduler = DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="leading",
    )
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def text_config(
    tokenizer: CLIPTokenizer, width: int, projection: int | None = None
) -> CLIPTextConfig:
    """A one-layer CLIP text encoder."""
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=projection or width,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def pretrain(
    early_folder: Path,
    late_folder: Path,
    steps: int,
    early_share: float = 0.8,
    batch: int = 96,
    drawings: int = 10800,
    width: int = 64,
    learning_rate: float = 1e-2,
    caption_dropout: float = 0.1,
    activity_omitted: float = 0.3,
    seed: int = 0,
) -> None:
    """Train and save the averaged weights after `early_share` of the steps (SD1.4) and at the end
    (SD1.5).

    Timesteps are drawn as 1000 sigmoid(N(0.6, 1.2)): more of the noisy ones, where the shape is
    decided.
    """
    rng, generator = generators("stable diffusion", seed)
    data = captioned_drawings(rng, drawings, fold=1, activity_omitted=activity_omitted)
    pipeline = build(data.vae, width, seed)
    ids = token_ids(pipeline.tokenizer, [*data.captions, ""], MAX_TOKENS)
    empty = len(data.captions)
    unet, text_encoder = pipeline.unet, pipeline.text_encoder
    training = Training([unet, text_encoder], steps, learning_rate)
    alpha_bar = pipeline.scheduler.alphas_cumprod

    for step in range(1, steps + 1):
        rows = torch.randint(len(data.latents), (batch,), generator=generator)
        clean = data.latents[rows] * data.vae.config.scaling_factor
        dropped = torch.rand(batch, generator=generator) < caption_dropout
        caption = torch.where(dropped, empty, data.caption[rows])
        position = torch.sigmoid(0.6 + 1.2 * torch.randn(batch, generator=generator))
        timestep = (1000 * position).long().clamp(0, 999)
        noise = torch.randn(clean.shape, generator=generator)
        kept = alpha_bar[timestep][:, None, None, None]
        noisy = kept.sqrt() * clean + (1 - kept).sqrt() * noise
        states = text_encoder(ids[caption]).last_hidden_state
        prediction = unet(noisy, timestep, states, return_dict=False)[0]
        training.step(functional.mse_loss(prediction, noise))
        if step == max(1, round(early_share * steps)):
            training.average.swap()
            save_pipeline(pipeline, early_folder)
            training.average.swap()
    training.average.swap()
    save_pipeline(pipeline, late_folder)
