"""Policies: thin adapters that give the four diffusers pipelines one face.

The folder is the registry: a model is served by the module that `ADAPTERS` names, and the same
adapter loads the real weights and the demo's small ones.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pcpo.config import LoRA, ModelSource
    from pcpo.policies.base import Policy

ADAPTERS = {
    "sd14": "stable_diffusion",
    "sd15": "stable_diffusion",
    "sd35m": "stable_diffusion_3",
    "flux": "flux",
}


def load(
    model: str,
    source: ModelSource,
    *,
    resolution: int,
    precision: str,
    embedded_guidance: float | None = None,
    lora: LoRA | None = None,
    train: bool = False,
    device: str = "cpu",
) -> Policy:
    """Load a base model; with `train` its LoRA (or all of the denoiser) takes gradients.

    Raises FileNotFoundError if `source.path` is a missing local folder, and OSError or ValueError
    if it is incomplete or damaged.
    """
    path = Path(source.path)
    if path.is_absolute() or path.parts[0] in ("results", "data", ".", ".."):
        index = path / "model_index.json"
        if not index.exists():
            raise FileNotFoundError(f"{index} is missing: there is no pipeline in {path}")
        # diffusers loads a component of our own package (the demo's VAE) only once imported.
        for component in json.loads(index.read_text()).values():
            if isinstance(component, list) and str(component[0]).startswith("pcpo."):
                importlib.import_module(component[0])
    module = importlib.import_module(f"pcpo.policies.{ADAPTERS[model]}")
    policy: Policy = module.Adapter(
        source.path,
        source.revision,
        resolution=resolution,
        precision=precision,
        embedded_guidance=embedded_guidance,
        device=device,
    )
    if train:
        policy.make_trainable(lora)
    return policy
