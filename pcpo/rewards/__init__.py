"""Rewards: one image and its prompt -> one number. This folder is the registry.

A reward named `hps` is the class `Reward` in `pcpo/rewards/hps.py`; files whose name starts with an
underscore are parts that rewards share. A reward knows nothing of training: in a notebook,

    reward = pcpo.rewards.load("pickscore", "models/PickScore_v1", device="cuda")
    scores = reward(images, prompts)  # uint8 (B, 3, H, W), B strings -> float32 (B,)

The published weights and the small ones of the demo world are read by the same classes from the
same folder layouts.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError

from pcpo.rewards._jpeg import through_jpeg


class Reward(Protocol):
    """What every `pcpo/rewards/<name>.py` defines under the name `Reward`."""

    def __call__(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """uint8 (B, 3, H, W) RGB and B prompts -> float32 (B,) on the CPU, row by row.

        Entry k depends on image k and prompt k alone, up to floating-point rounding.

        Raises:
            ValueError: wrong dtype or shape, or not as many prompts as images.
        """
        ...


def names() -> tuple[str, ...]:
    """The rewards of this folder, sorted."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def load(name: str, path: str | Path, device: str = "cpu", **options: Any) -> Reward:
    """The reward `name` with the weights of the folder `path`.

    `options` go to the reward's constructor; its docstring lists them and the folder's layout.

    Raises:
        ValueError: unknown name, an option that the reward does not have, or damaged weights.
        FileNotFoundError: a file of the layout is missing.
    """
    if name not in names():
        raise ValueError(
            f"There is no reward '{name}'; pcpo/rewards/ has {', '.join(names())}. "
            "A new one is a new file there with a class Reward."
        )
    cls = importlib.import_module(f"{__name__}.{name}").Reward
    # Models are initialised at random before their weights are read: leave no trace of that in
    # the caller's global random state.
    with torch.random.fork_rng(devices=[]):
        try:
            return cls(path, device=device, **options)
        except TypeError as error:
            if "unexpected keyword argument" in str(error) and "__init__" in str(error):
                raise ValueError(f"Reward '{name}': {error}; see its docstring.") from error
            raise
        except (RuntimeError, SafetensorError) as error:
            raise ValueError(
                f"Reward '{name}': the weights in {path} cannot be loaded: {error}"
            ) from error


def check_inputs(images: torch.Tensor, prompts: Sequence[str]) -> None:
    """Raise ValueError unless `images` is uint8 (B, 3, H, W) and `prompts` has B strings."""
    if not isinstance(images, torch.Tensor) or images.dtype != torch.uint8:
        kind = images.dtype if isinstance(images, torch.Tensor) else type(images).__name__
        raise ValueError(f"Images must be a torch.uint8 tensor with values 0..255, not {kind}.")
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"Images must be (B, 3, H, W) RGB, not {tuple(images.shape)}.")
    if isinstance(prompts, str):
        raise ValueError("Prompts must be a sequence of strings, one per image, not one string.")
    if len(prompts) != len(images):
        raise ValueError(f"{len(images)} images need as many prompts, not {len(prompts)}.")


def score_in_batches(
    score: Callable[[torch.Tensor, Sequence[str]], torch.Tensor],
    images: torch.Tensor,
    prompts: Sequence[str],
    batch_size: int,
    jpeg_quality: int | None = None,
) -> torch.Tensor:
    """Check the inputs, apply `score` to at most `batch_size` rows at a time without gradients.

    With `jpeg_quality`, images are written and re-read as JPEG first, as some original training
    code does before scoring (PIL's own default is 75).
    """
    check_inputs(images, prompts)
    if jpeg_quality is not None:
        images = through_jpeg(images, jpeg_quality)
    scores = [torch.empty(0)]
    with torch.no_grad():
        for start in range(0, len(images), batch_size):
            rows = slice(start, start + batch_size)
            scores.append(score(images[rows], prompts[rows]).float().cpu())
    return torch.cat(scores)
