"""Images that a figure of numbers shows beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes


class Pictures(NamedTuple):
    """Of one experiment: label of a row -> one image, uint8 (3, H, W), for each caption."""

    images: Mapping[str, Sequence[np.ndarray]]
    captions: Sequence[str]


def show(axes: Axes, image: np.ndarray | None = None) -> None:
    """Draw an image, or nothing, in a panel without axes. Small images are drawn unsmoothed."""
    if image is not None:
        axes.imshow(image.transpose(1, 2, 0))
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)
