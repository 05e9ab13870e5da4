"""Rewards: one image and its prompt -> one number. This folder is the registry.

A reward named `hps` is the class `Reward` in `pcpo/rewards/hps.py`, a subclass of `_base.Reward`
that defines `_score`; files whose name starts with an underscore are parts that rewards share. A
reward does not depend on training. In a notebook:

    reward = pcpo.rewards.load("pickscore", "models/PickScore_v1", device="cuda")
    scores = reward(images, prompts)  # uint8 (B, 3, H, W), B strings -> float32 (B,)

The published weights and the small ones of the demo are read by the same classes from the
same folder layouts.
"""

from __future__ import annotations

import ctypes
import importlib
import pickle
import pkgutil
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from pcpo.rewards._base import Reward

__all__ = ["Reward", "load", "names"]


def names() -> tuple[str, ...]:
    """The rewards of this folder, sorted."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def load(name: str, path: str | Path | None = None, device: str = "cpu", **options: Any) -> Reward:
    """The reward `name` with the weights of the folder `path`; None for a reward without weights.

    `options` go to the reward's constructor; its docstring lists them and the folder's layout.
    Published pickles are read as tensors only (torch's `weights_only`), never executed.

    Raises:
        ValueError: unknown name, no path for a reward with weights or one for a reward without, an
            option that the reward does not have, damaged weights, or a pickle that holds more than
            tensors.
        FileNotFoundError: a file of the layout is missing.
    """
    if name not in names():
        raise ValueError(
            f"There is no reward '{name}'; pcpo/rewards/ has {', '.join(names())}. "
            "A new one is a new file there with a class Reward."
        )
    cls = importlib.import_module(f"{__name__}.{name}").Reward
    if cls.has_weights and path is None:
        raise ValueError(
            f"Reward '{name}' needs the folder of its weights; give its path, in a scale "
            f"rewards.{name}.path."
        )
    if path is not None and not cls.has_weights:
        raise ValueError(
            f"Reward '{name}' has no weights; leave its path out, in a scale rewards.{name}.path."
        )
    folder = () if path is None else (path,)
    # Models are initialised at random before their weights are read. This must not change
    # the caller's global random state.
    with torch.random.fork_rng(devices=[]):
        try:
            reward: Reward = cls(*folder, device=device, **options).eval()
            _return_memory()
            return reward
        except TypeError as error:
            if "unexpected keyword argument" in str(error) and "__init__" in str(error):
                raise ValueError(f"Reward '{name}': {error}; see its docstring.") from error
            raise
        except pickle.UnpicklingError as error:
            raise ValueError(
                f"Reward '{name}': a checkpoint in {path} is refused: it is damaged, or a pickle "
                f"of more than tensors, which could run any code ({_offence(error)}). Fetch the "
                "published file again, or save its tensors as safetensors where you trust it."
            ) from error
        except (EOFError, RuntimeError, SafetensorError) as error:
            raise ValueError(
                f"Reward '{name}': the weights in {path} cannot be loaded: {error}"
            ) from error


def _offence(error: pickle.UnpicklingError) -> str:
    """torch's objection, without its long advice to switch the protection off."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if "GLOBAL" in line), lines[0].split(". ")[0])


def _return_memory() -> None:
    """Give back the memory of the checkpoint that was read: glibc keeps it, as much as the weights
    take, and five rewards are loaded at once for the alignment tables.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
        if trim is not None:
            trim(0)
