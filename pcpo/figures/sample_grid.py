"""Figures 1 and 15-20: the base model, the baseline and PCPO from equal prompts and image seeds."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from pcpo.figures import style
from pcpo.figures.lettering import lettering

TITLE = "Samples of the base model, the baseline and PCPO"
CAPTION = (
    "The images of a column have the same prompt and the same noise. They are the first images of "
    "their prompts; none was chosen by its looks. Baseline and PCPO are the checkpoints that were "
    "selected for an equal selection reward; the notes below state how well it is matched."
)
COLUMNS = 6  # in a page's width; more are wrapped


@style.draws()
def sample_grid(
    images: Mapping[str, Sequence[np.ndarray]], captions: Sequence[str], columns: int = COLUMNS
) -> Figure:
    """Rows are models, columns are prompts, wrapped after `columns`; a caption is not repeated.

    `images` maps a row's label to len(captions) images, uint8 (3, H, W) or (H, W, 3); image i of
    every row belongs to caption i and the same image seed. Small images are drawn unsmoothed.
    Raises ValueError for another dtype or shape, or rows of different length.
    """
    if not images or not len(captions):
        raise ValueError("sample_grid: give at least one row of images and one caption")
    rows = {label: _channels_last(array, label, len(captions)) for label, array in images.items()}
    letters = lettering(captions)
    folds = -(-len(captions) // columns)
    width = -(-len(captions) // folds)
    figure, axes = style.panels(folds * len(rows), width, width=1.1, height=1.14)
    for fold in range(folds):
        shown = range(fold * width, min((fold + 1) * width, len(captions)))
        block = axes[fold * len(rows) : (fold + 1) * len(rows)]
        for row, (label, pictures) in zip(block, rows.items(), strict=True):
            row[0].set_ylabel(label)
            for panel, i in zip(row, shown, strict=False):
                panel.imshow(pictures[i])
        for panel, i in zip(block[0], shown, strict=False):
            if i == shown[0] or captions[i] != captions[i - 1]:
                panel.set_title(
                    _wrapped(letters.drawn(captions[i])),
                    fontsize=6, parse_math=False, family=list(letters.families),
                )  # fmt: skip
    for panel in axes.flat:
        panel.set(xticks=[], yticks=[])
        panel.grid(False)
        panel.spines[:].set_visible(False)
    return figure


def _channels_last(images: Sequence[np.ndarray], label: str, count: int) -> list[np.ndarray]:
    if len(images) != count:
        raise ValueError(f"sample_grid: '{label}' has {len(images)} images for {count} captions")
    shown = []
    for image in map(np.asarray, images):
        if image.dtype != np.uint8 or image.ndim != 3 or 3 not in (image.shape[0], image.shape[2]):
            raise ValueError(
                f"sample_grid: an image of '{label}' is {image.dtype} {image.shape}, "
                "expected uint8 (3, H, W) or (H, W, 3)"
            )
        shown.append(image if image.shape[2] == 3 else image.transpose(1, 2, 0))
    return shown


def _wrapped(caption: str, width: int = 22, lines: int = 4) -> str:
    """The caption in short lines; a long one is cut, and printed in full below the figure."""
    wrapped = [""]
    for word in caption.split():
        for n, piece in enumerate(_pieces(word, width)):
            if wrapped[-1] and (n or _width(wrapped[-1]) + 1 + _width(piece) > width):
                wrapped.append("")
            wrapped[-1] = f"{wrapped[-1]} {piece}".strip()
    if len(wrapped) > lines:
        wrapped = [*wrapped[: lines - 1], f"{wrapped[lines - 1]} ..."]
    return "\n".join(wrapped)


def _pieces(word: str, width: int) -> Iterator[str]:
    """A word in pieces of at most `width`: languages without spaces have long words."""
    piece = ""
    for character in word:
        if piece and _width(piece + character) > width:
            yield piece
            piece = ""
        piece += character
    yield piece


def _width(text: str) -> int:
    """Columns of a text: two for a wide character, none for a combining mark."""
    marks = sum(unicodedata.category(c) == "Mn" for c in text)
    return len(text) - marks + sum(unicodedata.east_asian_width(c) in "WF" for c in text)
