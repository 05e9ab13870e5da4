"""A policy's trained weights on disk, in diffusers' own layouts.

pytorch_lora_weights.safetensors                    an adapter, read by `load_lora_weights`
config.json, diffusion_pytorch_model*.safetensors   a whole denoiser, read by its class
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import save_torch_state_dict
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from pcpo.policies.sharding import whole

if TYPE_CHECKING:
    from pcpo.config import LoRA
    from pcpo.policies.base import Policy

LORA_FILE = "pytorch_lora_weights.safetensors"
FULL_FILE = "diffusion_pytorch_model.safetensors"
INDEX_FILE = f"{FULL_FILE}.index.json"  # of weights in several files
ADAPTER = "checkpoint"  # the name of a loaded adapter, where there is one
_UNFIT = "the checkpoint is damaged or does not fit the base model"


def save(policy: Policy, folder: Path, write: bool = True) -> None:
    """Write the policy's adapter, or its whole denoiser, in a layout that plain diffusers loads.

    If the denoiser is sharded, every process calls this, and one of them with `write`.
    """
    if policy.lora is None:
        _save_full(policy, folder, write)
    else:
        _save_lora(policy, policy.lora, folder, write)


def load(policy: Policy, folder: Path) -> None:
    """Load the files of `save` into a policy that was loaded without `train`.

    Raises FileNotFoundError, or ValueError if the weights are damaged or of another model.
    """
    if is_adapter(folder):
        policy.pipeline.unload_lora_weights()  # of an earlier checkpoint
        add_adapter(policy, folder)
    else:
        _load_full(policy, folder)
        policy.denoiser.requires_grad_(False).eval()


def restore(policy: Policy, folder: Path) -> None:
    """Load the files of `save` into a policy that was loaded with `train`, which stays trainable.

    Raises FileNotFoundError, or ValueError if the weights are damaged or of another model.
    """
    if policy.lora is None:
        _load_full(policy, folder)
        return
    file, prefix = folder / LORA_FILE, f"{policy.denoiser_name}."
    strength = policy.lora.alpha / policy.lora.rank  # `_save_lora` multiplied B by it
    try:
        saved = {k.removeprefix(prefix): v for k, v in load_file(file).items()}
        layers = {k: v / strength if ".lora_B." in k else v for k, v in saved.items()}
        unknown = set_peft_model_state_dict(policy.denoiser, layers).unexpected_keys
    except (RuntimeError, ValueError, SafetensorError) as error:
        raise ValueError(f"{file}: {_UNFIT}: {error}") from error
    if unknown or len(saved) != len(policy.trainable()):
        raise ValueError(f"{file}: {_UNFIT}: not every tensor has its parameter")


def is_adapter(folder: Path) -> bool:
    """Whether a folder has an adapter, and not a whole denoiser.

    Raises FileNotFoundError if it has neither.
    """
    if (folder / LORA_FILE).exists():
        return True
    if not any((folder / name).exists() for name in (FULL_FILE, INDEX_FILE)):
        raise FileNotFoundError(f"{folder} holds neither {LORA_FILE} nor {FULL_FILE}")
    return False


def add_adapter(policy: Policy, folder: Path, name: str = ADAPTER) -> None:
    """Load an adapter under a name of its own, beside those that are loaded, and switch it on.

    Raises ValueError if the weights are damaged or of another model.
    """
    file = folder / LORA_FILE
    try:
        with warnings.catch_warnings():  # that there is another adapter is meant
            warnings.filterwarnings("ignore", "Already found a `peft_config`")
            policy.pipeline.load_lora_weights(str(folder), weight_name=LORA_FILE, adapter_name=name)
        with safe_open(file, framework="pt") as handle:
            saved = len(handle.keys())
    except PermissionError:
        raise
    except (RuntimeError, ValueError, OSError, SafetensorError) as error:
        raise ValueError(f"{file}: {_UNFIT}: {error}") from error
    parameters = policy.denoiser.named_parameters()
    adapter = {n: p for n, p in parameters if ".lora_" in n and n.split(".")[-2] == name}
    # diffusers only warns of weights that match no parameter.
    if len(adapter) != saved:
        raise ValueError(f"{file}: {_UNFIT}: {len(adapter)} of its {saved} tensors fit")
    for parameter in adapter.values():  # as they were trained
        parameter.data = parameter.data.float()
    policy.denoiser.requires_grad_(False).eval()


# --- the whole denoiser -------------------------------------------------------------------------


def _save_full(policy: Policy, folder: Path, write: bool) -> None:
    state = _gathered(policy.denoiser.state_dict(), keep=write)
    if not write:
        return
    policy.denoiser.save_config(folder)
    pattern = FULL_FILE.replace(".safetensors", "{suffix}.safetensors")
    save_torch_state_dict(state, folder, filename_pattern=pattern, max_shard_size="10GB")


def _load_full(policy: Policy, folder: Path) -> None:
    try:
        files = [FULL_FILE]
        if (folder / INDEX_FILE).exists():
            index = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
            files = sorted(set(index["weight_map"].values()))
        state: dict[str, Tensor] = {}
        for name in files:
            state |= load_file(folder / name)
        policy.denoiser.load_state_dict(state)
    except (RuntimeError, KeyError, ValueError, SafetensorError) as error:
        raise ValueError(f"{folder / FULL_FILE}: {_UNFIT}: {error}") from error


# --- the adapter --------------------------------------------------------------------------------


def _save_lora(policy: Policy, lora: LoRA, folder: Path, write: bool) -> None:
    """Write an adapter with the factor alpha / rank multiplied into B, and alpha = rank beside it.

    The update of a weight is B A alpha / rank, but many readers ignore alpha. In this way all
    readers apply the same update.
    """
    layers = _gathered(get_peft_model_state_dict(policy.denoiser), keep=write)
    if not write:
        return
    strength = lora.alpha / lora.rank
    layers = {k: v * strength if ".lora_B." in k else v for k, v in layers.items()}
    config = policy.denoiser.peft_config["default"].to_dict() | {"lora_alpha": lora.rank}
    config = {k: sorted(v) if isinstance(v, set) else v for k, v in config.items()}
    name = policy.denoiser_name
    policy.pipeline_class.save_lora_weights(
        folder, **{f"{name}_lora_layers": layers, f"{name}_lora_adapter_metadata": config}
    )
    _sort_metadata(folder / LORA_FILE)


def _sort_metadata(file: Path) -> None:
    """Order a safetensors file's metadata by key, so that equal weights give equal bytes.

    The library writes them in a random order.
    """
    data = file.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + size :])


def _gathered(state: dict[str, Tensor], keep: bool) -> dict[str, Tensor]:
    """A state dict on the CPU, gathered from its shards; empty without `keep`.

    All processes gather, but only one keeps: else a node would have one model per process.
    """
    found = {}
    for name, value in state.items():
        gathered = whole(value)
        if keep:
            found[name] = gathered.cpu()
    return found
