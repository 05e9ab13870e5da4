"""Published weights of the feature networks: files that PyTorch pickled."""

from __future__ import annotations

from pathlib import Path

import torch


def read_weights(path: Path, content: str) -> dict[str, torch.Tensor]:
    """The tensors of the file `path`, on the CPU; no code that a pickle may hold is run.

    Raises FileNotFoundError, naming the `content`, if there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing; it should hold {content} (config/assets.csv says from where)"
        )
    state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state
