"""The real models by their published configurations, with random weights and no download.

On the `meta` device they cost nothing: the memory plan counts on them. On a GPU they run as fast
as the real weights do: the benchmark measures them. `small=True` gives the same classes with a few
thousand parameters, for tests.

Sources: `config.json` of each component in CompVis/stable-diffusion-v1-4,
stable-diffusion-v1-5/stable-diffusion-v1-5, stabilityai/stable-diffusion-3.5-medium and
black-forest-labs/FLUX.1-dev.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    UNet2DConditionModel,
)
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel

from pcpo.config import Experiment
from pcpo.cost.schedulers import SCHEDULERS
from pcpo.policies import adapter_of
from pcpo.policies.base import Policy
from pcpo.policies.embeddings import Conditioning, PromptEmbeddings
from pcpo.prompts.draws import derive_seed

Config = dict[str, Any]


@dataclass(frozen=True)
class Text:
    """What the denoiser takes of a prompt: `(tokens, width)`, and a pooled vector (0: none)."""

    tokens: int
    width: int
    pooled: int = 0

    @property
    def bytes_per_prompt(self) -> int:
        """In half precision, as embeddings are kept."""
        return 2 * (self.tokens * self.width + self.pooled)


@dataclass(frozen=True)
class Architecture:
    """A model's denoiser, VAE and scheduler: classes and the arguments of their constructors.

    small_denoiser, small_vae, small_text: what the small version has instead.
    stored: bytes of a weight in the denoiser's published file.
    """

    denoiser: type[nn.Module]
    denoiser_config: Config
    vae_config: Config
    text: Text
    scheduler: type[Any]
    scheduler_config: Config
    small_denoiser: Config
    small_text: Text
    stored: int = 2
    vae: type[nn.Module] = AutoencoderKL
    small_vae: Config = field(
        default_factory=lambda: {
            "block_out_channels": (4, 4, 8, 8),
            "norm_num_groups": 2,
            "layers_per_block": 1,
            "latent_channels": 4,
        }
    )


_VAE: Config = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
}
_VAE16: Config = {
    **_VAE,
    "latent_channels": 16,
    "use_quant_conv": False,
    "use_post_quant_conv": False,
}

_SD1 = Architecture(
    denoiser=UNet2DConditionModel,
    denoiser_config={
        "sample_size": 64,
        "block_out_channels": (320, 640, 1280, 1280),
        "layers_per_block": 2,
        "cross_attention_dim": 768,
        "attention_head_dim": 8,  # the number of heads, as diffusers reads it
    },
    vae_config={**_VAE, "latent_channels": 4, "scaling_factor": 0.18215, "sample_size": 512},
    text=Text(77, 768),
    scheduler=DDIMScheduler,
    scheduler_config=SCHEDULERS["sd15"],
    small_denoiser={
        "sample_size": 8,
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": 16,
        "attention_head_dim": 2,
        "norm_num_groups": 4,
    },
    small_text=Text(7, 16),
    stored=4,
)

ARCHITECTURES: dict[str, Architecture] = {
    "sd14": _SD1,  # the two differ in their weights alone
    "sd15": _SD1,
    "sd35m": Architecture(
        denoiser=SD3Transformer2DModel,
        denoiser_config={
            "sample_size": 128,
            "in_channels": 16,
            "num_layers": 24,
            "attention_head_dim": 64,
            "num_attention_heads": 24,
            "caption_projection_dim": 1536,
            "joint_attention_dim": 4096,
            "pooled_projection_dim": 2048,
            "pos_embed_max_size": 384,
            "dual_attention_layers": tuple(range(13)),
            "qk_norm": "rms_norm",
        },
        vae_config={**_VAE16, "scaling_factor": 1.5305, "shift_factor": 0.0609},
        text=Text(77 + 128, 4096, 2048),  # T5 cut at 128 tokens, as Flow-GRPO
        scheduler=FlowMatchEulerDiscreteScheduler,
        scheduler_config=SCHEDULERS["sd35m"],
        small_denoiser={
            "sample_size": 8,
            "in_channels": 4,
            "out_channels": 4,
            "num_layers": 2,
            "attention_head_dim": 8,
            "num_attention_heads": 2,
            "caption_projection_dim": 16,
            "joint_attention_dim": 16,
            "pooled_projection_dim": 8,
            "pos_embed_max_size": 64,
            "dual_attention_layers": (0,),
            "qk_norm": "rms_norm",
        },
        small_text=Text(9, 16, 8),
    ),
    "flux": Architecture(
        denoiser=FluxTransformer2DModel,
        denoiser_config={
            "in_channels": 64,
            "num_layers": 19,
            "num_single_layers": 38,
            "attention_head_dim": 128,
            "num_attention_heads": 24,
            "joint_attention_dim": 4096,
            "pooled_projection_dim": 768,
            "guidance_embeds": True,
            "axes_dims_rope": (16, 56, 56),
        },
        vae_config={**_VAE16, "scaling_factor": 0.3611, "shift_factor": 0.1159},
        text=Text(512, 4096, 768),
        scheduler=FlowMatchEulerDiscreteScheduler,
        scheduler_config=SCHEDULERS["flux"],
        small_denoiser={
            "in_channels": 16,
            "num_layers": 1,
            "num_single_layers": 2,
            "attention_head_dim": 8,
            "num_attention_heads": 2,
            "joint_attention_dim": 16,
            "pooled_projection_dim": 8,
            "guidance_embeds": True,
            "axes_dims_rope": (2, 2, 4),
        },
        small_text=Text(8, 16, 8),
    ),
}


@contextmanager
def _default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def build(kind: type[nn.Module], config: Config, device: str, dtype: torch.dtype) -> Any:
    """A network of a class from the arguments of its constructor, with random weights, frozen."""
    # Made where and as they stay: FLUX.1 in fp32 on the way to bf16 would need 48 GB.
    with torch.device(device), _default_dtype(dtype):
        made = kind(**config)
    return made.to(dtype).requires_grad_(False).eval()  # SD3 makes its table of positions in fp32


def denoiser(
    model: str, *, device: str = "meta", dtype: torch.dtype = torch.float32, small: bool = False
) -> Any:
    """The denoiser of a model (`ARCHITECTURES`) with random weights, frozen."""
    architecture = _architecture(model)
    config = architecture.small_denoiser if small else architecture.denoiser_config
    return build(architecture.denoiser, config, device, dtype)


def vae(
    model: str, *, device: str = "meta", dtype: torch.dtype = torch.float32, small: bool = False
) -> Any:
    """The autoencoder of a model with random weights, frozen."""
    architecture = _architecture(model)
    config = architecture.vae_config | (architecture.small_vae if small else {})
    return build(architecture.vae, config, device, dtype)


def scheduler_config(model: str) -> Config:
    """Arguments of the model's scheduler class, as published."""
    return _architecture(model).scheduler_config


def text(model: str, *, small: bool = False) -> Text:
    """Sizes of a prompt's embedding."""
    return _architecture(model).small_text if small else _architecture(model).text


_TEXT_L: Config = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
}
_TEXT_H: Config = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
}
_IMAGE_L: Config = {**_TEXT_H, "patch_size": 14, "image_size": 224}
_IMAGE_H: Config = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_attention_heads": 16,
    "num_hidden_layers": 32,
    "patch_size": 14,
    "image_size": 224,
}
# The CLIP behind a reward: its text and image towers, and the width of their common space.
CLIPS: dict[str, tuple[Config, Config, int]] = {
    "aesthetic": (_TEXT_L, _IMAGE_L, 768),
    "hps": (_TEXT_H, _IMAGE_H, 1024),
    "pickscore": (_TEXT_H, _IMAGE_H, 1024),
    "clipscore": (_TEXT_H, {**_IMAGE_H, "image_size": 378}, 1024),
}


def clip(
    reward: str, *, device: str = "meta", dtype: torch.dtype = torch.float32, small: bool = False
) -> Any:
    """A transformers CLIPModel of the size of the one behind a reward, with random weights.

    Raises ValueError for a reward that has none.
    """
    if reward not in CLIPS:
        raise ValueError(f"reward {reward} has no CLIP; those that have: {', '.join(CLIPS)}")
    text, image, width = CLIPS[reward]
    if small:
        tower = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2}
        text, width = {**tower, "num_hidden_layers": 1, "vocab_size": 100}, 16
        image = {**tower, "num_hidden_layers": 1, "patch_size": 8, "image_size": 32}
    config = CLIPConfig(
        text_config={**text, "projection_dim": width},
        vision_config={**image, "projection_dim": width},
        projection_dim=width,
    )
    return build(CLIPModel, {"config": config}, device, dtype)


class RandomEmbeddings(PromptEmbeddings):
    """Embeddings of the right sizes for any prompt, drawn from its text: no encoder is opened."""

    def __init__(self, sizes: Text, dtype: torch.dtype) -> None:
        super().__init__()
        self.sizes, self.dtype = sizes, dtype

    def __contains__(self, prompt: str) -> bool:
        return True

    def get(self, prompt: str) -> Conditioning:
        if prompt not in self._rows:
            generator = torch.Generator().manual_seed(derive_seed("embedding", prompt))

            def draw(*shape: int) -> Tensor:
                return torch.randn(1, *shape, generator=generator).to(self.dtype)

            row = {"encoder_hidden_states": draw(self.sizes.tokens, self.sizes.width)}
            if self.sizes.pooled:
                row["pooled_projections"] = draw(self.sizes.pooled)
            self._rows[prompt] = row
        return self._rows[prompt]


def _architecture(model: str) -> Architecture:
    if model not in ARCHITECTURES:
        raise ValueError(
            f"pcpo/cost/architectures.py: model '{model}' is not in ARCHITECTURES, so its cost "
            f"cannot be counted; known: {', '.join(ARCHITECTURES)}"
        )
    return ARCHITECTURES[model]


def _no_encoders() -> Any:
    raise AssertionError("random embeddings need no text encoder")


def policy(
    experiment: Experiment, *, device: str, train: bool = True, small: bool = False
) -> Policy:
    """What `policies.load` gives for an experiment, with random weights instead of its files.

    The adapter, the dtypes of the components and what is trainable are those of a real run on one
    device; nothing is sharded.
    """
    model = experiment.model
    architecture = _architecture(model)
    adapter: Any = adapter_of(model)
    dtypes = adapter.component_dtypes(experiment.precision, experiment.lora)
    # Text encoders, tokenizers and what else the pipeline's class asks for stay None.
    parameters = inspect.signature(adapter.pipeline_class).parameters
    absent = {name: None for name, p in parameters.items() if p.default is p.empty}
    options = {"requires_safety_checker": False} if "safety_checker" in parameters else {}
    components = {
        adapter.denoiser_name: denoiser(
            model, device=device, dtype=dtypes[adapter.denoiser_name], small=small
        ),
        "vae": vae(model, device=device, dtype=dtypes["vae"], small=small),
        "scheduler": architecture.scheduler(**architecture.scheduler_config),
    }
    made: Policy = adapter(
        adapter.pipeline_class(**(absent | components | options)),
        _no_encoders,
        RandomEmbeddings(text(model, small=small), dtypes["default"]),
        resolution=experiment.sampler.resolution,
        precision=experiment.precision,
        embedded_guidance=experiment.sampler.embedded_guidance,
        execution=experiment.execution,
        device=device,
    )
    if train:
        made.make_trainable(experiment.lora)
    if device != "meta":
        made.place()  # and compiled, where the experiment says so
    return made
