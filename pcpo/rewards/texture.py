"""How much the ground is striped: the contrast of fine upright stripes in the image's corners.

A function of pixels alone, without weights. A sampler decides it at its least noisy steps: there is
little detail in the ground, so that it is lost in the noise until then. The prompt is ignored.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from pcpo.rewards import _base

LUMA = (0.299, 0.587, 0.114)  # Rec. 601
STRIPES = (1.0, -1.0, -1.0, 1.0)  # light, dark, dark, light: a shade from left to right cancels
CORNER = 4  # a corner is this part of the height and of the width


class Reward(_base.OfPixels):
    """Mean luminance of the light stripes less that of the dark ones, in grey levels.

    A corner is as high as a quarter of the image and as wide, in whole periods of four pixels.
    """

    def _score(self, images: torch.Tensor, prompts: Sequence[str]) -> torch.Tensor:
        """From -255 to 255. Raises ValueError for images of fewer than 16 pixels in width."""
        least = CORNER * len(STRIPES)
        height, width = images.shape[2] // CORNER, images.shape[3] // least * len(STRIPES)
        if height == 0 or width == 0:
            raise ValueError(
                f"texture needs images of {CORNER} x {least} pixels (height x width) or more, not "
                f"{images.shape[2]} x {images.shape[3]}."
            )
        luma = torch.tensor(LUMA, device=images.device, dtype=torch.float64)
        rows = torch.cat([images[:, :, :height], images[:, :, -height:]], dim=2).double()
        profile = torch.einsum("bcyx,c->bx", rows, luma) / rows.shape[2]
        # The right corner has the left one's stripes, mirrored: they are symmetric.
        sides = torch.cat([profile[:, :width], profile[:, -width:]], dim=1)
        pattern = torch.tensor(STRIPES, device=images.device, dtype=torch.float64)
        return (sides.unflatten(1, (-1, len(STRIPES))) * pattern).mean(dim=(1, 2)) * 2
