"""What an update changes and a resumed run must restore: weights, moments, scale, average."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pcpo.config import Experiment
from pcpo.policies.base import Policy
from pcpo.policies.sharding import sharded_like, whole
from pcpo.training.ema import MovingAverage
from pcpo.training.processes import Processes

MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # AdamW's state of a parameter


@dataclass(frozen=True)
class Learner:
    """A policy with its optimiser, gradient scaler (fp16 only) and moving average, if any."""

    policy: Policy
    parameters: dict[str, nn.Parameter]
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    ema: MovingAverage | None
    max_grad_norm: float

    @classmethod
    def start(cls, experiment: Experiment, policy: Policy) -> Learner:
        """A learner at the first update of a run."""
        config, parameters = experiment.optimizer, policy.trainable()
        optimizer = torch.optim.AdamW(
            list(parameters.values()),
            lr=config.learning_rate,
            betas=config.betas,
            weight_decay=config.weight_decay,
            eps=config.epsilon,
        )
        # Small gradients underflow in fp16.
        scaler = torch.amp.GradScaler(policy.device.type, enabled=experiment.precision == "fp16")
        ema = None
        if experiment.ema is not None:
            ema = MovingAverage(parameters, experiment.ema, experiment.average_calls)
        return cls(policy, parameters, optimizer, scaler, ema, config.max_grad_norm)

    def backward(self, loss: Tensor) -> None:
        """Add a loss's gradients to those of the update."""
        self.scaler.scale(loss).backward()

    def step(self, processes: Processes) -> dict[str, float]:
        """Sum, unscale and clip the gradients and step; returns their statistics before clipping.

        grad_norm: of all. If it is not finite, no weight changes, and fp16 halves the scale.
        gradient_abs_mean, gradient_abs_var: of |g| over the first layer (Figure 11).
        """
        parameters = list(self.parameters.values())
        processes.sum_gradients(parameters)
        self.scaler.unscale_(self.optimizer)
        first = [whole(p.grad).abs().flatten() for p in self.first_layer() if p.grad is not None]
        magnitude = torch.cat(first)
        norm = whole(torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm))
        if self.scaler.is_enabled():
            self.scaler.step(self.optimizer)
            self.scaler.update()
        elif torch.isfinite(norm):
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return {
            "grad_norm": float(norm),
            "gradient_abs_mean": float(magnitude.mean()),
            "gradient_abs_var": float(magnitude.var(correction=0)),
        }

    def first_layer(self) -> list[nn.Parameter]:
        """Trained parameters of the first layer that has any; of an adapter both matrices."""

        def layer(name: str) -> str:
            return name.split(".lora_")[0] if ".lora_" in name else name.rpartition(".")[0]

        first = layer(next(iter(self.parameters)))
        return [p for name, p in self.parameters.items() if layer(name) == first]

    @property
    def skips_overflows(self) -> bool:
        """Whether a non-finite gradient may be an fp16 overflow, which the scaler handles."""
        return self.scaler.is_enabled() and self.scaler.get_scale() >= 1

    def evaluated(self) -> AbstractContextManager[None]:
        """Use the weights that checkpoints hold: the moving average where there is one."""
        return self.ema.in_place() if self.ema is not None else nullcontext()

    # --- for the resume state -----------------------------------------------------------------

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Everything by name, gathered where it is sharded (then every process must iterate)."""
        for name, parameter in self.parameters.items():
            yield f"weight.{name}", whole(parameter)
        names = list(self.parameters)
        for index, moments in self.optimizer.state_dict()["state"].items():
            for key in MOMENTS:
                yield f"optimizer.{key}.{names[index]}", whole(torch.as_tensor(moments[key]))
        if self.ema is not None:
            for name, value in self.ema.average.items():
                yield f"ema.{name}", whole(value)

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor], scaler: dict[str, Any]) -> None:
        """Raises KeyError or RuntimeError, before any change, if a tensor is missing or has another
        shape, or the scaler's state is of another precision."""
        self._check(tensors, scaler)
        moments: dict[int, dict[str, Tensor]] = {}
        for index, (name, parameter) in enumerate(self.parameters.items()):
            parameter.copy_(sharded_like(tensors[f"weight.{name}"], parameter))
            own = {key: f"optimizer.{key}.{name}" for key in MOMENTS}
            if own["step"] in tensors:  # fp16 may have skipped every update so far
                moments[index] = {k: sharded_like(tensors[v], parameter) for k, v in own.items()}
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        if self.ema is not None:
            for name, average in self.ema.average.items():
                average.copy_(sharded_like(tensors[f"ema.{name}"], average))
        self.scaler.load_state_dict(scaler)

    def _check(self, tensors: dict[str, Tensor], scaler: dict[str, Any]) -> None:
        shapes = {f"weight.{name}": p.shape for name, p in self.parameters.items()}
        if self.ema is not None:
            shapes |= {f"ema.{name}": a.shape for name, a in self.ema.average.items()}
        for name, parameter in self.parameters.items():
            if f"optimizer.step.{name}" in tensors:
                own = {f"optimizer.{key}.{name}": parameter.shape for key in MOMENTS}
                shapes |= own | {f"optimizer.step.{name}": torch.Size()}
        if missing := sorted(self.scaler.state_dict().keys() - scaler.keys()):
            raise KeyError(f"the gradient scaler has no {missing}")
        for name, shape in shapes.items():
            if tensors[name].shape != shape:
                found = list(tensors[name].shape)
                raise RuntimeError(f"{name} has the shape {found}, expected {list(shape)}")
