"""The base class of all policies: text, guided predictions, images, adapters.

weights.py has the layout of weights on disk, sharding.py the split over processes, and compiler.py
the compilation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import DiffusionPipeline
from peft import LoraConfig
from torch import Tensor, nn

from pcpo.config import Execution, LoRA
from pcpo.policies import weights
from pcpo.policies.compiler import compile_forwards
from pcpo.policies.embeddings import Conditioning, PromptEmbeddings
from pcpo.policies.sharding import shard

HALF = {"fp16": torch.float16, "bf16": torch.bfloat16}


class Policy(ABC):
    """A text-to-image model as a policy: encode prompts, predict, decode.

    denoiser: the network that is trained. With half `precision` it runs under autocast: frozen
        weights are in half precision, trained weights in fp32.
    latent_shape: of one image, in the sampler's layout.

    pipeline: diffusers pipeline of denoiser, VAE and scheduler, on the CPU.
    open_encoders: returns a pipeline of tokenizers and text encoders. They are opened for the first
        prompt that `embeddings` do not contain, and closed by `release`.
    """

    pipeline_class: ClassVar[type[DiffusionPipeline]]
    denoiser_name: ClassVar[str]  # the pipeline's component: "unet" or "transformer"
    vae_in_fp32: ClassVar[bool] = False  # at any precision
    without: ClassVar[tuple[str, ...]] = ()  # optional components that are never loaded
    compile_blocks: ClassVar[bool] = True  # compile repeated blocks, or the denoiser as a whole

    def __init__(
        self,
        pipeline: Any,
        open_encoders: Callable[[], Any],
        embeddings: PromptEmbeddings,
        *,
        resolution: int,
        precision: str,
        embedded_guidance: float | None = None,
        execution: Execution | None = None,
        device: str = "cpu",
    ) -> None:
        self.pipeline = pipeline
        self.open_encoders = open_encoders
        self.embeddings = embeddings
        self.device = torch.device(device)
        self.resolution = resolution
        self.precision = precision
        self.embedded_guidance = embedded_guidance
        self.execution = execution or Execution()
        self.lora: LoRA | None = None
        self.sharded = False
        self._encoders: Any = None
        self._compiled = False
        self._empties: dict[int, Conditioning] = {}
        for component in (self.denoiser, pipeline.vae):
            component.requires_grad_(False).eval()
        if self.execution.channels_last:
            self.denoiser.to(memory_format=torch.channels_last)
        if self.execution.activation_checkpointing:
            self.denoiser.enable_gradient_checkpointing()

    @classmethod
    def component_dtypes(cls, precision: str, lora: LoRA | None) -> dict[str, torch.dtype]:
        """The dtype of each component of the pipeline.

        Only frozen components are in half precision: a denoiser that is trained as a whole keeps
        fp32 master weights (DanceGRPO train_grpo_sd.py; accelerate's autocast in all three).
        """
        half = HALF.get(precision, torch.float32)
        # Flow-GRPO keeps frozen SD3.5 in fp32: a prediction's error is 1.12e-3 there, 1.13e-3 here.
        return {
            "default": half,
            cls.denoiser_name: torch.float32 if lora is None else half,
            "vae": torch.float32 if cls.vae_in_fp32 else half,
        }

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
    def _encode(self, encoders: Any, prompts: list[str]) -> Conditioning:
        """Text embeddings from the pipeline `encoders`, one row per prompt."""

    @abstractmethod
    def _forward(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The denoiser's raw output for latents `(B, ...)` at timesteps `(B,)` in 0..1000."""

    @abstractmethod
    def _to_vae(self, latents: Tensor) -> Tensor:
        """Convert sampler latents to the VAE's input, `(B, C, h, w)`, unscaled."""

    # --- text ---------------------------------------------------------------------------------

    def encode(self, prompts: Sequence[str]) -> Conditioning:
        """Text embeddings of `prompts` on the policy's device, row by row.

        Each distinct prompt is encoded once, by itself, so its embedding depends only on it.
        """
        rows = [self._row(prompt) for prompt in prompts]
        return {key: torch.cat([row[key] for row in rows]).to(self.device) for key in rows[0]}

    @torch.no_grad()
    def _row(self, prompt: str) -> Conditioning:
        row = self.embeddings.get(prompt)
        if row is None:
            if self._encoders is None:
                self._encoders = self.open_encoders().to(self.device)
            row = self._encode(self._encoders, [prompt])
            row = {key: value.cpu() for key, value in row.items()}
            self.embeddings.put(prompt, row)
        return row

    def _empty(self, count: int) -> Conditioning:
        """Rows of the empty prompt, kept on the device: every guided forward needs them."""
        if count not in self._empties:
            self._empties[count] = self.encode([""] * count)
        return self._empties[count]

    def prepare(self, prompts: Sequence[str]) -> None:
        """Encode the new prompts among these, and the empty prompt that guidance needs."""
        for prompt in dict.fromkeys(["", *prompts]):
            if prompt not in self.embeddings:
                self._row(prompt)

    def release(self) -> None:
        """Close the text encoders and move the VAE off the device: an update needs neither."""
        self._encoders = None
        if self.device.type != "cpu":
            self.pipeline.vae.to("cpu")

    # --- images -------------------------------------------------------------------------------

    def predict(
        self,
        latents: Tensor,
        timesteps: Tensor,
        conditioning: Conditioning,
        guidance_scale: float,
        repeated: bool = True,
    ) -> Tensor:
        """Guided prediction `(B, ...)` in fp32; rollout and update share this forward.

        latents: fp32 `(B, ...)`; timesteps: `(B,)` in 0..1000. With a guidance scale above 1 both
        branches run in one batch `[unconditional; conditional]`, and gradients flow through both.
        repeated: with and without gradients the predictions are equal bit for bit.
        """
        with self._autocast(), self._one_graph() if repeated else nullcontext():
            if guidance_scale == 1:
                guided = self._forward(latents, timesteps, conditioning).float()
            else:
                empty = self._empty(len(latents))
                both = {key: torch.cat([empty[key], conditioning[key]]) for key in conditioning}
                output = self._forward(torch.cat([latents] * 2), torch.cat([timesteps] * 2), both)
                unconditional, conditional = output.float().chunk(2)
                guided = unconditional + guidance_scale * (conditional - unconditional)
        return guided if torch.is_grad_enabled() else guided.detach()

    def conditioned(
        self, conditioning: Conditioning, guidance_scale: float, repeated: bool = True
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """`predict` as a function of only latents and timesteps."""

        def predict(latents: Tensor, timesteps: Tensor) -> Tensor:
            return self.predict(latents, timesteps, conditioning, guidance_scale, repeated)

        return predict

    def as_reference(
        self, predict: Callable[[Tensor, Tensor], Tensor]
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """A function from `conditioned`, run under `reference`: the base model's predictions."""

        def referred(latents: Tensor, timesteps: Tensor) -> Tensor:
            with self.reference():
                return predict(latents, timesteps)

        return referred

    def _autocast(self) -> Any:
        if self.precision not in HALF:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=HALF[self.precision])

    def _one_graph(self) -> Any:
        """Record gradients in the rollout too if the graph's kernels may depend on it.

        A compiler fuses inference and training graphs differently, and their results differ in the
        last bits: with two graphs the on-policy log-ratio is not 0.
        """
        return torch.enable_grad() if self._compiled or self.device.type != "cpu" else nullcontext()

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Images `uint8 (B, 3, H, W)` on the CPU, rounded once from the VAE's floats."""
        vae = self.pipeline.vae.to(self.device)
        z = self._to_vae(latents) / vae.config.scaling_factor
        z = z + (getattr(vae.config, "shift_factor", None) or 0.0)
        images = vae.decode(z.to(vae.dtype)).sample.float()
        # DanceGRPO's SD trainer truncates: advantages differ by up to 0.19 in groups of 4.
        return ((images / 2 + 0.5).clamp(0, 1) * 255).round().to(torch.uint8).cpu()

    # --- how it runs --------------------------------------------------------------------------

    def place(self, sharded: bool = False) -> None:
        """Move the denoiser to the device, after `make_trainable`.

        sharded: split it over the processes, so that no device ever has all of it.
        """
        if sharded:
            shard(self.denoiser, self._blocks(), HALF.get(self.precision))
            self.sharded = True
        else:
            self.denoiser.to(self.device)
        if self.execution.compile:
            modules = self._blocks() if self.compile_blocks else [self.denoiser]
            compile_forwards(modules, self.device)
            self._compiled = True

    def _blocks(self) -> list[nn.Module]:
        """The modules of the classes that the denoiser names as units; sharded ones are derived."""
        names = set(self.denoiser._no_split_modules or ())
        return [
            module
            for module in self.denoiser.modules()
            if names & {cls.__name__ for cls in type(module).__mro__}
        ]

    # --- trained parameters ---------------------------------------------------------------

    def make_trainable(self, lora: LoRA | None) -> None:
        """Add an fp32 LoRA adapter to the denoiser, or train all of it if `lora` is None."""
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
        for parameter in self.trainable().values():
            parameter.data = parameter.data.float()

    def trainable(self) -> dict[str, nn.Parameter]:
        """The parameters that take gradients, by name."""
        return {n: p for n, p in self.denoiser.named_parameters() if p.requires_grad}

    @contextmanager
    def reference(self) -> Iterator[None]:
        """Use the base model within the block: the adapter is switched off."""
        self.denoiser.disable_adapters()
        try:
            yield
        finally:
            self.denoiser.enable_adapters()

    # --- weights on disk (pcpo/policies/weights.py) -------------------------------------------

    def save_weights(self, folder: Path, write: bool = True) -> None:
        """Write the trained weights into a folder, in diffusers' layout: `weights.save`."""
        weights.save(self, folder, write)

    def load_weights(self, folder: Path) -> None:
        """Load a checkpoint's weights: `weights.load`; raises the same errors."""
        weights.load(self, folder)
