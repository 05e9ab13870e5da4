"""The trajectories that training needs, and how a micro-batch of them is sampled.

Shapes: B images of a micro-batch, T sampler steps, `...` the latent of one image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pcpo.prompts.draws import derive_seed
from pcpo.samplers import Sampler

# (latents (B, ...), timesteps (B,)) -> guided prediction (B, ...), fp32
Predict = Callable[[Tensor, Tensor], Tensor]

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Trajectory:
    """One micro-batch of sampled images.

    latents `(B, T, ...)` fp32: the network's inputs. predictions_old `(B, T, ...)` fp32: guided.
    noise `(B, T, ...)` fp32: the unit Gaussian of each step. final `(B, ...)`: latents to decode.
    The sampler's log-ratio also needs log_probs `(B, T)` of the un-rounded steps and
    next_latents `(B, T, ...)` as they were stored; for other arms both are None.
    """

    latents: Tensor
    predictions_old: Tensor
    noise: Tensor
    final: Tensor
    log_probs: Tensor | None
    next_latents: Tensor | None

    def to(self, device: torch.device | str) -> Trajectory:
        moved = {k: v.to(device) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **moved)

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
    keep_log_probs: bool = False,
    reference: Predict | None = None,
    change: Tensor | None = None,
) -> Trajectory:
    """Sample a micro-batch from initial latents `(B, ...)` with step noise `(B, T, ...)`.

    change `(T,)`: each step takes ref + change (prediction - ref), ref of the model `reference`
    (`CreditSchedule.change`); predictions_old are still the policy's own. None: each step takes
    the prediction itself.

    `storage` is the dtype in which latents are kept between steps. As in DDPO and DanceGRPO, the
    log-probability is computed before that rounding. So with a low precision the on-policy ratio
    differs from 1; with float32 it does not.
    """
    x = initial.to(storage).float()
    latents, predictions, log_probs, following = [], [], [], []
    for index in range(len(sampler)):
        step = torch.full((len(x),), index, device=x.device)
        timesteps = sampler.timesteps.to(x.device)[step]
        prediction = taken = predict(x, timesteps)
        if change is not None:
            assert reference is not None
            base = reference(x, timesteps)
            taken = base + float(change[index]) * (prediction - base)
        exact = sampler.step(step, x, taken, noise[:, index])
        x_next = exact.to(storage).float()
        latents.append(x)
        predictions.append(prediction)
        if keep_log_probs:
            log_probs.append(sampler.log_prob(step, x, taken, exact))
            following.append(x_next)
        if index == len(sampler) - 1:
            final = sampler.final(x, x_next, taken)
        x = x_next
    return Trajectory(
        latents=torch.stack(latents, 1),
        predictions_old=torch.stack(predictions, 1),
        noise=noise,
        final=final,
        log_probs=torch.stack(log_probs, 1) if keep_log_probs else None,
        next_latents=torch.stack(following, 1) if keep_log_probs else None,
    )
