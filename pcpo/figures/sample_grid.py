"""Figure 1: images of the base model, the baseline and PCPO for the same prompts and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from pcpo.figures import style


@style.styled
def sample_grid(
    images: Mapping[str, np.ndarray], captions: Sequence[str], title: str = ""
) -> Figure:
    """Rows are models, columns are prompts.

    `images` maps a row's label to uint8 (N, 3, H, W) or (N, H, W, 3), all with N = len(captions);
    image i of every row belongs to caption i and the same seed. Pixels are drawn unsmoothed.
    Raises ValueError for another dtype or shape, or rows of different length.
    """
    if not images or not len(captions):
        raise ValueError("sample_grid: give at least one row of images and one caption")
    rows = {label: _channels_last(array, label, len(captions)) for label, array in images.items()}
    figure, axes = style.panels(len(rows), len(captions), width=1.1, height=1.15)
    for row, (label, array) in zip(axes, rows.items(), strict=True):
        for panel, image in zip(row, array, strict=True):
            panel.imshow(image, interpolation="nearest")
            panel.set_xticks([])
            panel.set_yticks([])
            panel.grid(False)
            for spine in panel.spines.values():
                spine.set_visible(False)
        row[0].set_ylabel(label)
    for panel, caption in zip(axes[0], captions, strict=True):
        panel.set_title(_wrapped(caption), fontsize=6)
    if title:
        figure.suptitle(title, fontsize=8)
    return figure


def _channels_last(array: np.ndarray, label: str, count: int) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype != np.uint8 or array.ndim != 4 or 3 not in (array.shape[1], array.shape[3]):
        raise ValueError(
            f"sample_grid: images of '{label}' are {array.dtype} {array.shape}, "
            "expected uint8 (N, 3, H, W) or (N, H, W, 3)"
        )
    if len(array) != count:
        raise ValueError(f"sample_grid: '{label}' has {len(array)} images for {count} captions")
    return array if array.shape[3] == 3 else array.transpose(0, 2, 3, 1)


def _wrapped(caption: str, width: int = 20) -> str:
    lines = [""]
    for word in caption.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
