"""Linear layers in a row, without activations: the head of the aesthetic score and of ImageReward.

Both originals are torch.nn.Sequential with dropout between the linear layers, hence the gaps in the
numbers of their keys: layers.{0,2,4,6,7}.{weight,bias}. In evaluation the chain is one affine map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import nn


class LinearChain(nn.Module):
    """`layers` maps each layer's number in the checkpoint to (inputs, outputs)."""

    def __init__(self, layers: Mapping[int, tuple[int, int]]):
        super().__init__()
        self.layers = nn.ModuleDict(
            {str(number): nn.Linear(*layers[number]) for number in sorted(layers)}
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, d) -> (B,)."""
        for layer in self.layers.values():
            features = layer(features)
        return features.squeeze(-1)


def chain_of_widths(widths: Sequence[int]) -> LinearChain:
    """A chain with layers widths[0] -> widths[1] -> ... -> widths[-1]."""
    return LinearChain(dict(enumerate(pairwise(widths))))


def chain_from_state_dict(state: Mapping[str, torch.Tensor], source: object) -> LinearChain:
    """The chain that a state dict with keys layers.<number>.{weight,bias} describes.

    Raises:
        ValueError: other keys, layers that do not fit, or an output that is not one number;
            `source` names the file in the message.
    """
    weights = {key: value for key, value in state.items() if key.endswith(".weight")}
    try:
        shapes = {int(key.split(".")[1]): value.shape for key, value in weights.items()}
        chain = LinearChain({n: (inputs, outputs) for n, (outputs, inputs) in shapes.items()})
        chain.load_state_dict(dict(state))
    except (IndexError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{source} should hold linear layers under layers.<number>.weight and .bias: {error}"
        ) from error
    ordered = [shapes[number] for number in sorted(shapes)]
    fits = all(a[0] == b[1] for a, b in pairwise(ordered))
    if not ordered or not fits or ordered[-1][0] != 1:
        raise ValueError(f"{source}: the layers {[tuple(s) for s in ordered]} are no chain to 1.")
    return chain.eval()
