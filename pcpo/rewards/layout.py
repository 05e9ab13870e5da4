"""Where the drawing lies: the horizontal centre of what differs from the ground.

A function of pixels alone, without weights. A sampler decides it at its noisiest steps, because it
is seen at 8 x 8 pixels. The prompt is ignored.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional

from pcpo.rewards import _base

CELLS = 8  # in height and in width, each the mean colour of its part of the image
PLAIN = 1e-4  # added to the whole mass: an image of one colour scores 0


class Reward(_base.OfPixels):
    """sum(m x) / sum(m) over the cells: x a cell's centre, m its mass.

    x is in widths of the image, from -0.5 at the left edge to 0.5 at the right one. m is the
    squared distance of the cell's colour, on [0, 1], from the ground: the median, channel by
    channel, of the cells at the border.
    """

    def _score(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """In (-0.5, 0.5); positive where the drawing lies to the right."""
        cells = functional.adaptive_avg_pool2d(images.float() / 255, CELLS)
        border = torch.ones(CELLS, CELLS, dtype=torch.bool, device=cells.device)
        border[1:-1, 1:-1] = False
        ground = cells[:, :, border].median(dim=-1).values[:, :, None, None]
        mass = (cells - ground).square().sum(dim=1)
        x = (torch.arange(CELLS, device=cells.device) + 0.5) / CELLS - 0.5
        return (mass * x).sum(dim=(1, 2)) / (mass.sum(dim=(1, 2)) + PLAIN)
