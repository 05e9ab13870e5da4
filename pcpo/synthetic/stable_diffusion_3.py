"""Pretraining of the demo's SD3.5-M: shapes and words, so that one checkpoint serves both the
text-rendering experiment and the preference experiment."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
)
from torch.nn import functional
from transformers import CLIPTextModelWithProjection, T5Config, T5EncoderModel, T5Tokenizer

from pcpo.synthetic.pretraining import (
    Training,
    captioned_drawings,
    flow_times,
    generators,
    save_pipeline,
    token_ids,
)
from pcpo.synthetic.stable_diffusion import text_config
from pcpo.synthetic.tokenizers import clip_tokenizer, t5_tokenizer
from pcpo.synthetic.vae import PatchLinearVAE

MAX_TOKENS = 10


def build(
    vae: PatchLinearVAE, layers: int = 3, width: int = 96, seed: int = 0
) -> StableDiffusion3Pipeline:
    """An untrained pipeline; the three text encoders have one layer each."""
    clip, t5 = clip_tokenizer(MAX_TOKENS), t5_tokenizer(MAX_TOKENS)
    clip_width = width // 2
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        text_encoder = CLIPTextModelWithProjection(text_config(clip, clip_width))
        text_encoder_2 = CLIPTextModelWithProjection(text_config(clip, clip_width))
        text_encoder_3 = T5EncoderModel(t5_config(t5, width))
        transformer = SD3Transformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=vae.config.latent_channels,
            out_channels=vae.config.latent_channels,
            num_layers=layers,
            attention_head_dim=24,
            num_attention_heads=width // 24,
            joint_attention_dim=width,
            caption_projection_dim=width,
            pooled_projection_dim=2 * clip_width,
            pos_embed_max_size=8,
        )
    return StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=clip,
        text_encoder_2=text_encoder_2,
        tokenizer_2=clip_tokenizer(MAX_TOKENS),
        text_encoder_3=text_encoder_3,
        tokenizer_3=t5,
    )


def t5_config(tokenizer: T5Tokenizer, width: int) -> T5Config:
    """A one-layer T5 encoder without dropout."""
    return T5Config(
        vocab_size=len(tokenizer),
        d_model=width,
        d_kv=width // 4,
        d_ff=2 * width,
        num_layers=1,
        num_heads=4,
        dropout_rate=0.0,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )


def encode_text(
    pipeline: StableDiffusion3Pipeline, clip_ids: torch.Tensor, t5_ids: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What `pipeline.encode_prompt` computes, with gradients, from token ids.

    Returns:
        The joint sequence (B, clip + t5 tokens, width) and the pooled vector (B, 2 clip width).
    """
    outputs = [
        encoder(clip_ids, output_hidden_states=True)
        for encoder in (pipeline.text_encoder, pipeline.text_encoder_2)
    ]
    clip_states = torch.cat([output.hidden_states[-2] for output in outputs], dim=-1)
    t5_states = pipeline.text_encoder_3(t5_ids).last_hidden_state
    clip_states = functional.pad(clip_states, (0, t5_states.shape[-1] - clip_states.shape[-1]))
    pooled = torch.cat([output.text_embeds for output in outputs], dim=-1)
    return torch.cat([clip_states, t5_states], dim=1), pooled


def pretrain(
    folder: Path,
    steps: int,
    batch: int = 96,
    drawings: int = 14400,
    layers: int = 3,
    width: int = 96,
    word_share: float = 0.5,
    learning_rate: float = 1e-2,
    caption_dropout: float = 0.1,
    seed: int = 0,
) -> None:
    """Flow matching on drawings and, for `word_share` of the data, words; saves the averaged
    weights."""
    rng, generator = generators("stable diffusion 3", seed)
    data = captioned_drawings(rng, drawings, fold=2, word_share=word_share)
    pipeline = build(data.vae, layers, width, seed)
    clip_ids = token_ids(pipeline.tokenizer, [*data.captions, ""], MAX_TOKENS)
    t5_ids = token_ids(pipeline.tokenizer_3, [*data.captions, ""], MAX_TOKENS)
    empty = len(data.captions)
    encoders = (pipeline.text_encoder, pipeline.text_encoder_2, pipeline.text_encoder_3)
    training = Training([pipeline.transformer, *encoders], steps, learning_rate)

    for _ in range(steps):
        rows = torch.randint(len(data.latents), (batch,), generator=generator)
        clean = data.latents[rows]
        dropped = torch.rand(batch, generator=generator) < caption_dropout
        caption = torch.where(dropped, empty, data.caption[rows])
        time = flow_times(batch, generator)
        noise = torch.randn(clean.shape, generator=generator)
        weight = time[:, None, None, None]
        sequence, pooled = encode_text(pipeline, clip_ids[caption], t5_ids[caption])
        velocity = pipeline.transformer(
            hidden_states=(1 - weight) * clean + weight * noise,
            timestep=1000 * time,
            encoder_hidden_states=sequence,
            pooled_projections=pooled,
            return_dict=False,
        )[0]
        training.step(functional.mse_loss(velocity, noise - clean))
    training.average.swap()
    save_pipeline(pipeline, folder)
