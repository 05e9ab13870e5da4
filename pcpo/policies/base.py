"""What every policy does, whatever its pipeline: adapters, guidance, weights, decoding."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

import torch
from diffusers import DiffusionPipeline
from huggingface_hub import save_torch_state_dict
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from pcpo.config import Execution, LoRA
from pcpo.policies.compiler import require_compiler
from pcpo.policies.embeddings import Conditioning, PromptEmbeddings
from pcpo.training.processes import whole

LORA_FILE = "pytorch_lora_weights.safetensors"
FULL_FILE = "diffusion_pytorch_model.safetensors"
INDEX_FILE = f"{FULL_FILE}.index.json"  # of weights in several files, as diffusers writes them
_UNFIT = "the checkpoint is damaged or does not fit the base model"
HALF = {"fp16": torch.float16, "bf16": torch.bfloat16}


class Policy(ABC):
    """A text-to-image model as a policy: encode prompts, predict, decode.

    denoiser: the network that is trained. Where `precision` is half, it runs under autocast:
        frozen weights are held in half, whatever is trained in fp32.
    latent_shape: of one image, as the sampler sees it.

    pipeline: diffusers pipeline of denoiser, VAE and scheduler, on the CPU.
    open_encoders: gives a pipeline of tokenizers and text encoders. They are opened when a prompt
        is met that `embeddings` do not hold, and closed by `release`.
    """

    pipeline_class: ClassVar[type[DiffusionPipeline]]
    denoiser_name: ClassVar[str]  # the pipeline's component: "unet" or "transformer"
    vae_in_fp32: ClassVar[bool] = False  # whatever the precision
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
        """In which dtype each component of the pipeline is held.

        Half precision is for what is frozen: a denoiser that is trained as a whole keeps fp32
        master weights (DanceGRPO train_grpo_sd.py; accelerate's autocast in all three).
        """
        half = HALF.get(precision, torch.float32)
        # Flow-GRPO holds frozen SD3.5 in fp32: a prediction errs by 1.12e-3 there, by 1.13e-3 here.
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
        """Text embeddings by the pipeline `encoders`, one row per prompt."""

    @abstractmethod
    def _forward(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """The denoiser's raw output for latents `(B, ...)` at timesteps `(B,)` in 0..1000."""

    @abstractmethod
    def _to_vae(self, latents: Tensor) -> Tensor:
        """Sampler latents as the VAE takes them, `(B, C, h, w)`, unscaled."""

    # --- text ---------------------------------------------------------------------------------

    def encode(self, prompts: Sequence[str]) -> Conditioning:
        """Text embeddings of `prompts` on the policy's device, row by row.

        Each distinct prompt is encoded once, alone, so that its embedding depends on it alone.
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
        """Rows of the empty prompt, kept on the device: every guided forward takes them."""
        if count not in self._empties:
            self._empties[count] = self.encode([""] * count)
        return self._empties[count]

    def prepare(self, prompts: Sequence[str]) -> None:
        """Encode the prompts (and the empty one of guidance) that are met for the first time."""
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
    ) -> Tensor:
        """Guided prediction `(B, ...)` in fp32, by the one forward of rollout and update.

        latents: fp32 `(B, ...)`; timesteps: `(B,)` in 0..1000. With a guidance scale above 1 both
        branches run in one batch `[unconditional; conditional]`, and gradients flow through both.
        """
        with self._autocast(), self._one_graph():
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
        self, conditioning: Conditioning, guidance_scale: float
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """`predict` as a function of latents and timesteps alone."""

        def predict(latents: Tensor, timesteps: Tensor) -> Tensor:
            return self.predict(latents, timesteps, conditioning, guidance_scale)

        return predict

    def as_reference(
        self, predict: Callable[[Tensor, Tensor], Tensor]
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """A function of `conditioned` under `reference`: the base model's predictions."""

        def referred(latents: Tensor, timesteps: Tensor) -> Tensor:
            with self.reference():
                return predict(latents, timesteps)

        return referred

    def _autocast(self) -> Any:
        if self.precision not in HALF:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=HALF[self.precision])

    def _one_graph(self) -> Any:
        """Record gradients in the rollout too where the graph's kernels may depend on it.

        A compiler fuses an inference graph differently from a training graph, and their results
        differ in the last bits: with two graphs the on-policy log-ratio is not 0.
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
        """Bring the denoiser to the device, after `make_trainable`.

        sharded: split over the processes, block by block (FSDP2), so that no device ever holds
        all of it; blocks are gathered in half precision and gradients reduced in fp32.
        """
        if sharded:
            self._shard()
        else:
            self.denoiser.to(self.device)
        if self.execution.compile:
            self._compile()

    def _shard(self) -> None:
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        half = HALF.get(self.precision)
        # Autocast says what runs in half precision, as it does for the whole model. Inputs that
        # FSDP casts would differ (FLUX's rotary embedding), and differ again where activation
        # checkpointing recomputes a block: there it does not cast them.
        mixed = MixedPrecisionPolicy(
            param_dtype=half, reduce_dtype=torch.float32, cast_forward_inputs=False
        )
        for block in self._blocks():
            fully_shard(block, mp_policy=mixed)
        fully_shard(self.denoiser, mp_policy=mixed)
        self.sharded = True

    def _compile(self) -> None:
        """Compile the denoiser's forward, once for rollout and update (`_one_graph`)."""
        if self.device.type == "cuda":
            require_compiler()
        # Adapter on and off, trained and evaluated, and two batch shapes are graphs of their own.
        # Beyond the limit (8) the compiler runs a module uncompiled and says nothing.
        torch._dynamo.config.recompile_limit = 32
        for module in self._blocks() if self.compile_blocks else [self.denoiser]:
            module.compile(dynamic=False)
        self._compiled = True

    def _blocks(self) -> list[nn.Module]:
        """The blocks that the denoiser's class names as its units; sharded classes derive."""
        names = set(self.denoiser._no_split_modules or ())
        return [
            module
            for module in self.denoiser.modules()
            if names & {cls.__name__ for cls in type(module).__mro__}
        ]

    # --- what is trained ------------------------------------------------------------------

    def make_trainable(self, lora: LoRA | None) -> None:
        """Give the denoiser an fp32 LoRA adapter, or open all of it where `lora` is None."""
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
        """The base model in place of the policy: the adapter is switched off."""
        self.denoiser.disable_adapters()
        try:
            yield
        finally:
            self.denoiser.enable_adapters()

    # --- weights on disk, in diffusers' own layouts ---------------------------------------

    def save_weights(self, folder: Path, write: bool = True) -> None:
        """Write what plain diffusers loads: `load_lora_weights`, or the denoiser's own folder.

        A LoRA's factor alpha / rank is within its tensors: B A is the whole update of a weight.
        Where the denoiser is sharded every process calls it, and one has `write`.
        """
        if self.lora is None:
            state = _whole(self.denoiser.state_dict(), keep=write)
            if write:
                self.denoiser.save_config(folder)
                pattern = FULL_FILE.replace(".safetensors", "{suffix}.safetensors")
                save_torch_state_dict(
                    state, folder, filename_pattern=pattern, max_shard_size="10GB"
                )
            return
        layers = _whole(get_peft_model_state_dict(self.denoiser), keep=write)
        config = self.denoiser.peft_config["default"].to_dict()
        config = {k: sorted(v) if isinstance(v, set) else v for k, v in config.items()}
        # The update is B A alpha / rank, and many a reader sees the tensors alone: with the factor
        # in B, and alpha the rank, all of them apply the same update.
        strength = self.lora.alpha / self.lora.rank
        layers = {k: v * strength if ".lora_B." in k else v for k, v in layers.items()}
        config["lora_alpha"] = self.lora.rank
        if write:
            self.pipeline_class.save_lora_weights(
                folder,
                **{
                    f"{self.denoiser_name}_lora_layers": layers,
                    f"{self.denoiser_name}_lora_adapter_metadata": config,
                },
            )
            _sort_metadata(folder / LORA_FILE)

    def load_weights(self, folder: Path) -> None:
        """Load a checkpoint's weights into a policy that was loaded without `train`.

        Raises FileNotFoundError, or ValueError if the weights are damaged or of another model.
        """
        lora, full, index = (folder / name for name in (LORA_FILE, FULL_FILE, INDEX_FILE))
        if lora.exists():
            self._load_lora(lora)
        elif full.exists() or index.exists():
            try:
                self.denoiser.load_state_dict(_read_full(folder))
            except (RuntimeError, KeyError, ValueError, SafetensorError) as error:
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
        except PermissionError:
            raise
        except (RuntimeError, ValueError, OSError, SafetensorError) as error:
            raise ValueError(f"{file}: {_UNFIT}: {error}") from error
        adapter = {n: p for n, p in self.denoiser.named_parameters() if ".lora_" in n}
        # diffusers only warns of weights that find no place.
        if len(adapter) != saved:
            raise ValueError(
                f"{file}: {_UNFIT}: {len(adapter)} of its {saved} tensors find a place"
            )
        for parameter in adapter.values():  # as they were trained
            parameter.data = parameter.data.float()


def _whole(state: dict[str, Tensor], keep: bool) -> dict[str, Tensor]:
    """A state dict on the CPU, gathered from its shards; empty without `keep`.

    All processes gather; if all kept, a node would hold the model once a process.
    """
    found = {}
    for name, value in state.items():
        gathered = whole(value)
        if keep:
            found[name] = gathered.cpu()
    return found


def _sort_metadata(file: Path) -> None:
    """Order a safetensors file's metadata by key, so that equal weights give equal bytes.

    The library writes them in an order of chance.
    """
    data = file.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])


def _read_full(folder: Path) -> dict[str, Tensor]:
    """The denoiser's weights from one file or from several with an index."""
    files = [FULL_FILE]
    if (folder / INDEX_FILE).exists():
        files = sorted(
            set(
                json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))["weight_map"].values()
            )
        )
    state: dict[str, Tensor] = {}
    for name in files:
        state |= load_file(folder / name)
    return state
