"""What every policy does, whatever its pipeline: adapters, guidance, weights, decoding."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import DiffusionPipeline
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from pcpo.config import LoRA

LORA_FILE = "pytorch_lora_weights.safetensors"
FULL_FILE = "diffusion_pytorch_model.safetensors"
_UNFIT = "the checkpoint is damaged or does not fit the base model"
_AUTOCAST = {"fp16": torch.float16, "bf16": torch.bfloat16}

# One row per prompt, by the name under which the denoiser takes it.
Conditioning = dict[str, Tensor]


class Policy(ABC):
    """A text-to-image model as a policy: encode prompts, predict, decode.

    denoiser: the network that is trained, in fp32; `precision` is the dtype of its autocast.
    latent_shape: of one image, as the sampler sees it.
    """

    pipeline_class: ClassVar[type[DiffusionPipeline]]
    denoiser_name: ClassVar[str]  # the pipeline's component: "unet" or "transformer"

    def __init__(
        self,
        path: str,
        revision: str | None,
        *,
        resolution: int,
        precision: str,
        embedded_guidance: float | None,
        device: str,
    ) -> None:
        try:
            self.pipeline: Any = self.pipeline_class.from_pretrained(
                path, revision=revision, use_safetensors=True
            )
        except SafetensorError as error:
            raise ValueError(f"{path}: a file of the pipeline is damaged: {error}") from error
        self.pipeline.set_progress_bar_config(disable=True)
        self.pipeline.to(device)
        for component in self.pipeline.components.values():
            if isinstance(component, nn.Module):
                component.requires_grad_(False).eval()
        self.device = torch.device(device)
        self.resolution = resolution
        self.precision = precision
        self.embedded_guidance = embedded_guidance
        self.lora: LoRA | None = None
        self._encoded: dict[str, Conditioning] = {}

    @property
    def denoiser(self) -> Any:
        return getattr(self.pipeline, self.denoiser_name)

    @property
    def scheduler_config(self) -> dict[str, Any]:
        return dict(self.pipeline.scheduler.config)

    @property
    @abstractmethod
    def latent_shape(self) -> tuple[int, ...]:
        """Shape of one image's latents."""

    @abstractmethod
    def _encode(self, prompts: list[str]) -> Conditioning:
        """Text embeddings, one row per prompt."""

    @abstractmethod
    def _forward(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The denoiser's raw output for latents `(B, ...)` at timesteps `(B,)` in 0..1000."""

    @abstractmethod
    def _to_vae(self, latents: Tensor) -> Tensor:
        """Sampler latents as the VAE takes them, `(B, C, h, w)`, unscaled."""

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> Conditioning:
        """Text embeddings of `prompts`, row by row; each distinct prompt is encoded once."""
        for prompt in dict.fromkeys(prompts):
            if prompt not in self._encoded:
                self._encoded[prompt] = self._encode([prompt])
        rows = [self._encoded[prompt] for prompt in prompts]
        return {key: torch.cat([row[key] for row in rows]) for key in rows[0]}

    def predict(
        self,
        latents: Tensor,
        timesteps: Tensor,
        conditioning: Conditioning,
        guidance_scale: float,
    ) -> Tensor:
        """Guided prediction `(B, ...)` in fp32, by the one forward of rollout and update.

        latents: fp32 `(B, ...)`; timesteps: `(B,)` in 0..1000. With a guidance scale above 1 both
        branches run in one batch `[unconditional; conditional]`, and gradients flow through both.
        """
        with self._autocast():
            if guidance_scale == 1:
                return self._forward(latents, timesteps, conditioning).float()
            empty = self.encode([""] * len(latents))
            both = {key: torch.cat([empty[key], conditioning[key]]) for key in conditioning}
            output = self._forward(torch.cat([latents] * 2), torch.cat([timesteps] * 2), both)
        unconditional, conditional = output.float().chunk(2)
        return unconditional + guidance_scale * (conditional - unconditional)

    def conditioned(
        self, conditioning: Conditioning, guidance_scale: float
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """`predict` as a function of latents and timesteps alone."""

        def predict(latents: Tensor, timesteps: Tensor) -> Tensor:
            return self.predict(latents, timesteps, conditioning, guidance_scale)

        return predict

    def _autocast(self) -> Any:
        if self.precision not in _AUTOCAST:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=_AUTOCAST[self.precision])

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Images `uint8 (B, 3, H, W)` on the CPU, rounded once from the VAE's floats."""
        vae = self.pipeline.vae
        z = self._to_vae(latents) / vae.config.scaling_factor
        z = z + (getattr(vae.config, "shift_factor", None) or 0.0)
        images = vae.decode(z.to(vae.dtype)).sample.float()
        return ((images / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).cpu()

    # --- what is trained ------------------------------------------------------------------

    def make_trainable(self, lora: LoRA | None) -> None:
        """Give the denoiser a LoRA adapter, or open all of it where `lora` is None."""
        self.lora = lora
        if lora is None:
            self.denoiser.requires_grad_(True)
            return
        config = LoraConfig(
            r=lora.rank,
            lora_alpha=lora.alpha,
            init_lora_weights="gaussian" if lora.init == "gaussian" else True,
            target_modules=list(lora.target_modules),
        )
        self.denoiser.add_adapter(config)

    def trainable(self) -> dict[str, nn.Parameter]:
        """The parameters that take gradients, by name."""
        return {n: p for n, p in self.denoiser.named_parameters() if p.requires_grad}

    @contextmanager
    def reference(self) -> Iterator[None]:
        """The base model in place of the policy: the adapter is switched off."""
        self.denoiser.disable_adapters()
        try:
            yield
        finally:
            self.denoiser.enable_adapters()

    # --- weights on disk, in diffusers' own layouts ---------------------------------------

    def save_weights(self, folder: Path) -> None:
        """Write what plain diffusers loads: `load_lora_weights`, or the denoiser's own folder."""
        if self.lora is None:
            self.denoiser.save_pretrained(folder)
            return
        config = self.denoiser.peft_config["default"].to_dict()
        self.pipeline_class.save_lora_weights(
            folder,
            **{
                f"{self.denoiser_name}_lora_layers": get_peft_model_state_dict(self.denoiser),
                f"{self.denoiser_name}_lora_adapter_metadata": config,
            },
        )

    def load_weights(self, folder: Path) -> None:
        """Load a checkpoint's weights into a policy that was loaded without `train`.

        Raises FileNotFoundError, or ValueError if the weights are damaged or of another model.
        """
        lora, full = folder / LORA_FILE, folder / FULL_FILE
        if lora.exists():
            self._load_lora(lora)
        elif full.exists():
            try:
                self.denoiser.load_state_dict(load_file(full))
            except (RuntimeError, SafetensorError) as error:
                raise ValueError(f"{full}: {_UNFIT}: {error}") from error
        else:
            raise FileNotFoundError(f"{folder} holds neither {LORA_FILE} nor {FULL_FILE}")
        self.denoiser.requires_grad_(False).eval()

    def _load_lora(self, file: Path) -> None:
        self.pipeline.unload_lora_weights()  # of the checkpoint that was loaded before
        try:
            self.pipeline.load_lora_weights(str(file.parent), weight_name=file.name)
            with safe_open(file, framework="pt") as handle:
                saved = len(handle.keys())
        except (RuntimeError, ValueError, OSError, SafetensorError) as error:
            raise ValueError(f"{file}: {_UNFIT}: {error}") from error
        # diffusers only warns of weights that find no place.
        loaded = sum(".lora_" in name for name, _ in self.denoiser.named_parameters())
        if loaded != saved:
            raise ValueError(f"{file}: {_UNFIT}: {loaded} of its {saved} tensors find a place")
