"""Several checkpoints of one base model: its policy predicts as any of them, or as the base model.

Adapters are loaded side by side, and switched through peft. A checkpoint of all weights is a
denoiser of its own, which takes the place of the base model's while it predicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from pcpo.policies import weights

if TYPE_CHECKING:
    from pcpo.policies.base import Policy
    from pcpo.policies.embeddings import Conditioning
    from pcpo.trajectory import Predict


class Checkpoints:
    """Checkpoints by their place in `folders`, loaded into a policy that has no adapter yet.

    Raises FileNotFoundError for a folder without weights, and ValueError for weights that are
    damaged or of another model.
    """

    def __init__(self, policy: Policy, folders: Sequence[Path]) -> None:
        self.policy = policy
        self.count = len(folders)
        self._base = policy.denoiser
        adapted = [weights.is_adapter(folder) for folder in folders]
        # Denoisers first: they are copies of the base model without adapters.
        self._whole = {k: self._copy(f) for k, f in enumerate(folders) if not adapted[k]}
        self._put(self._base)
        self._adapters = {k: f"checkpoint_{k}" for k in range(len(folders)) if adapted[k]}
        for k, name in self._adapters.items():
            weights.add_adapter(policy, folders[k], name)
        self._used: int | None = -1  # none of them
        self.use(None)

    def _copy(self, folder: Path) -> Any:
        self._put(deepcopy(self._base))
        self.policy.load_weights(folder)
        self.policy.place()
        return self.policy.denoiser

    def _put(self, denoiser: Any) -> None:
        setattr(self.policy.pipeline, self.policy.denoiser_name, denoiser)

    def use(self, place: int | None) -> None:
        """Let the policy predict as a checkpoint from now on; None: as the base model."""
        if place == self._used:
            return
        self._put(self._base if place is None else self._whole.get(place, self._base))
        if place is not None and place in self._adapters:
            self._base.enable_adapters()
            self._base.set_adapter(self._adapters[place])
            self._base.requires_grad_(False)  # peft lets an active adapter take gradients
        elif self._adapters:
            self._base.disable_adapters()
        self._used = place

    def conditioned(
        self, place: int | None, conditioning: Conditioning, guidance_scale: float
    ) -> Predict:
        """`Policy.conditioned` of a checkpoint; None: of the base model."""
        predict = self.policy.conditioned(conditioning, guidance_scale)

        def as_checkpoint(latents: Tensor, timesteps: Tensor) -> Tensor:
            self.use(place)
            return predict(latents, timesteps)

        return as_checkpoint
