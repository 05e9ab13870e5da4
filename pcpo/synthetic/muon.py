"""Muon (Keller Jordan, 2024): momentum whose update matrix is orthogonalised.

After 300 steps the demo's SD3 draws 97 % of the shapes right with it (learning rate 1e-2) and
51 % with AdamW (2e-3), in about the same time. torch.optim.Muon takes one matrix at a time; here
matrices of one shape are orthogonalised together, which is several times faster for many small
ones, and convolution kernels count as matrices too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import torch


class Muon(torch.optim.Optimizer):
    """For weights with two or more dimensions, flattened to (outputs, inputs).

    The update has a root mean square of `lr` x 0.2, as AdamW's typically has (Liu et al. 2025,
    arXiv 2502.16982), so AdamW's learning rates and weight decays carry over.
    """

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        if closure is not None:
            raise ValueError("Muon does not evaluate the loss again; call step() without closure.")
        for group in self.param_groups:
            by_shape = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for shape, parameters in by_shape.items():
                self._step_together(shape, parameters, group)

    def _step_together(
        self, shape: torch.Size, parameters: list[torch.nn.Parameter], group: dict
    ) -> None:
        for parameter in parameters:
            if "velocity" not in self.state[parameter]:
                self.state[parameter]["velocity"] = torch.zeros_like(parameter)
        weights: list[torch.Tensor] = list(parameters)
        gradients = [p.grad for p in parameters if p.grad is not None]
        velocities = [self.state[parameter]["velocity"] for parameter in parameters]
        torch._foreach_lerp_(velocities, gradients, 1 - group["momentum"])
        lookahead = torch._foreach_lerp(gradients, velocities, group["momentum"])  # Nesterov
        updates = orthogonalise(torch.stack([update.flatten(1) for update in lookahead]))
        updates *= 0.2 * max(updates.shape[1:]) ** 0.5
        torch._foreach_mul_(weights, 1 - group["lr"] * group["decay"])
        steps = [update.view(shape) for update in updates]
        torch._foreach_add_(weights, steps, alpha=-group["lr"])


def orthogonalise(matrices: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """(N, rows, columns) -> the nearest semi-orthogonal matrices, roughly: singular values end
    between 0.7 and 1.2 (quintic Newton-Schulz iteration, in bfloat16)."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if tall else matrices).bfloat16()
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(iterations):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return (x.mT if tall else x).float()
