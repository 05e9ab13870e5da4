"""Reading the files of a reward's folder, with errors that say what is missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file


def require_folder(path: str | Path, content: str) -> Path:
    """`path` as a Path; FileNotFoundError naming the expected `content` if it is no folder.

    Rewards read folders on disk only, never a hub id, so that what is scored with is what was
    fetched and recorded.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise FileNotFoundError(f"The folder {folder} is missing; it should hold {content}.")
    return folder


def require_file(path: Path, content: str) -> Path:
    """`path`; FileNotFoundError naming the expected `content` if it is no file."""
    if not path.is_file():
        raise FileNotFoundError(f"The file {path} is missing; it should hold {content}.")
    return path


def read_state_dict(path: Path) -> dict[str, torch.Tensor]:
    """Weights from `.safetensors`, or from a published pickle read with `weights_only=True`.

    A checkpoint that keeps its weights under the key `state_dict` is unwrapped.
    """
    if path.suffix == ".safetensors":
        return load_file(path)
    state = torch.load(path, map_location="cpu", weights_only=True)
    return state.get("state_dict", state)


def load_pretrained(cls: Any, folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    """`cls.from_pretrained(folder)` in evaluation mode, from this disk alone.

    Raises:
        ValueError: the folder's weights lack some that the model has: transformers would leave
            them random.
    """
    model, report = cls.from_pretrained(
        folder, local_files_only=True, dtype=dtype, output_loading_info=True
    )
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise ValueError(
            f"The weights in {folder} lack {len(missing)} tensors of a {type(model).__name__}, "
            f"for example {missing[0]}: they belong to another model."
        )
    return model.eval()
