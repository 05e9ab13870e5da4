"""The trajectories that training needs, and how a micro-batch of them is sampled.

Shapes: B images of a micro-batch, T sampler steps, `...` the latent of one image.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from pcpo.prompts.draws import derive_seed
from pcpo.samplers import Sampler

# (latents (B, ...), timesteps (B,)) -> guided prediction (B, ...), fp32
Predict = Callable[[Tensor, Tensor], Tensor]

LogRatio = Literal["sampler", "matching"]  # of an arm

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Trajectory:
    """One micro-batch of sampled images, with what the arm's log-ratio compares.

    final `(B, ...)`: latents to decode. latents `(B, T, ...)` fp32: the network's inputs.
    Eq. (4) compares predictions_old `(B, T, ...)` fp32, guided, and needs noise `(B, T, ...)` fp32,
    the unit Gaussian of each step. The sampler's log-ratio compares log_probs `(B, T)` of the
    un-rounded steps, and needs next_latents `(B, T, ...)` as they were stored. What is not kept is
    None.
    """

    final: Tensor
    latents: Tensor | None = None
    predictions_old: Tensor | None = None
    noise: Tensor | None = None
    log_probs: Tensor | None = None
    next_latents: Tensor | None = None

    def to(self, device: torch.device | str) -> Trajectory:
        moved = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **moved)

    def split(self, size: int) -> list[Trajectory]:
        """Trajectories of `size` images each, in order; they share this one's memory."""
        parts = {k: v.split(size) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return [
            Trajectory(**{key: part[number] for key, part in parts.items()})
            for number in range(len(parts["final"]))
        ]

    def inputs(self, step: Tensor, device: torch.device | str) -> Tensor:
        """The latents of one step per image, `(B, ...)`, as `at` has them."""
        assert self.latents is not None
        return _sent(self.latents[torch.arange(len(step)), step], device)

    def at(self, step: Tensor, device: torch.device | str) -> Trajectory:
        """Select one step per image: every `(B, T, ...)` becomes `(B, ...)`.

        step: `(B,)`, on the device of the trajectory. The selected tensors are moved to `device`.
        """
        rows = torch.arange(len(step))
        picked = {
            key: _sent(value[rows, step], device)
            for key, value in vars(self).items()
            if isinstance(value, Tensor) and key != "final"
        }
        return replace(self, **picked)


def _sent(value: Tensor, device: torch.device | str) -> Tensor:
    """Move a tensor to a device; to a GPU from pinned memory, so that the host does not wait."""
    if value.device.type == "cpu" and torch.device(device).type == "cuda":
        return value.pin_memory().to(device, non_blocking=True)
    return value.to(device)


def gaussian_noise(keys: list[tuple[str | int, ...]], count: int, shape: tuple[int, ...]) -> Tensor:
    """Unit Gaussian noise `(len(keys), count, *shape)`; each row depends only on its key."""
    rows = []
    for key in keys:
        generator = torch.Generator().manual_seed(derive_seed("noise", *key))
        rows.append(torch.randn((count, *shape), generator=generator))
    return torch.stack(rows)


@torch.no_grad()
def sample(
    predict: Predict,
    sampler: Sampler,
    initial: Tensor,
    noise: Tensor,
    storage: torch.dtype = torch.float32,
    keep: LogRatio | None = None,
    reference: Predict | None = None,
    change: Tensor | None = None,
) -> Trajectory:
    """Sample a micro-batch from initial latents `(B, ...)` with step noise `(B, T, ...)`.

    keep: the log-ratio for which the trajectory is kept; None: only the latents to decode.
    change `(T,)`: each step takes ref + change (prediction - ref), ref of the model `reference`
    (`CreditSchedule.change`); predictions_old are still the policy's own. None: each step takes
    the prediction itself.

    `storage` is the dtype in which latents are kept between steps. As in DDPO and DanceGRPO, the
    log-probability is computed before that rounding. So with a low precision the on-policy ratio
    differs from 1; with float32 it does not.
    """
    x = initial.to(storage).float()
    kept: dict[str, list[Tensor]] = defaultdict(list)
    for index in range(len(sampler)):
        step = torch.full((len(x),), index, device=x.device)
        timesteps = sampler.timesteps.to(x.device)[step]
        prediction = taken = predict(x, timesteps)
        if change is not None:
            assert reference is not None
            base = reference(x, timesteps)
            taken = base + float(change[index]) * (prediction - base)
        mean = sampler.mean(step, x, taken)
        exact = sampler.around(step, mean, noise[:, index])
        x_next = exact.to(storage).float()
        if keep is not None:
            kept["latents"].append(x)
        if keep == "matching":
            kept["predictions_old"].append(prediction)
        if keep == "sampler":
            kept["log_probs"].append(sampler.log_density(step, mean, exact))
            kept["next_latents"].append(x_next)
        if index == len(sampler) - 1:
            final = sampler.final(x, x_next, taken)
        x = x_next
    stacked = {name: torch.stack(values, 1) for name, values in kept.items()}
    return Trajectory(final, noise=noise if keep == "matching" else None, **stacked)
