"""Drawn words: the synthetic text-rendering task (the counterpart of Flow-GRPO's OCR).

An image shows one word of two or three capital letters in a 5 x 7 dot font, on the same lit
backgrounds as the drawings; its prompt is `the word "AB"`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import torch

from pcpo.synthetic import drawing

LETTERS = "AOXTLHEUCNZK"
MAX_LETTERS = 3
_FONT_ROWS = {
    "A": "01110 10001 10001 11111 10001 10001 10001",
    "O": "01110 10001 10001 10001 10001 10001 01110",
    "X": "10001 10001 01010 00100 01010 10001 10001",
    "T": "11111 00100 00100 00100 00100 00100 00100",
    "L": "10000 10000 10000 10000 10000 10000 11111",
    "H": "10001 10001 10001 11111 10001 10001 10001",
    "E": "11111 10000 10000 11110 10000 10000 11111",
    "U": "10001 10001 10001 10001 10001 10001 01110",
    "C": "01111 10000 10000 10000 10000 10000 01111",
    "N": "10001 11001 10101 10101 10011 10001 10001",
    "Z": "11111 00001 00010 00100 01000 10000 11111",
    "K": "10001 10010 10100 11000 10100 10010 10001",
}
_ROWS, _COLUMNS, _GAP = 7, 5, 1
_PIXELS_PER_DOT = {2: 2.1, 3: 1.65}
# Two-letter endings that the CLIP vocabulary holds as one piece, because a caption's word ends in
# them ("moon", "line", ...): a drawn word must stay one token per letter.
_RESERVED_ENDINGS = ("LE", "NE", "HE", "UE", "OT", "ON", "EN")


def _choose_words(two: int, three: int) -> tuple[str, ...]:
    """A fixed selection without repeated letters, evenly spread over all candidates."""
    chosen: list[str] = []
    for length, count in ((2, two), (3, three)):
        candidates = ["".join(letters) for letters in permutations(LETTERS, length)]
        candidates = [word for word in candidates if not word.endswith(_RESERVED_ENDINGS)]
        chosen += [candidates[(k * len(candidates)) // count] for k in range(count)]
    return tuple(chosen)


WORDS = _choose_words(two=40, three=32)


def prompt(word: str) -> str:
    """The prompt that asks for `word`."""
    return f'the word "{word}"'


def draw_words(words: Sequence[str], rng: np.random.Generator) -> torch.Tensor:
    """Random images of `words` (two or three letters of LETTERS each).

    Returns:
        uint8 (N, 3, 32, 32) RGB; the same generator state gives the same bytes.
    """
    count, grid = len(words), drawing.IMAGE_SIZE
    layout = drawing.sample_layout(count, rng)
    colour = rng.integers(len(drawing.COLOURS), size=count)
    scale = rng.uniform(0.94, 1.06, count).astype(np.float32)
    shift = rng.uniform(-1.5, 1.5, (count, 2)).astype(np.float32)

    ink = np.empty((count, 1, grid, grid), dtype=np.float32)
    for length in sorted({len(word) for word in words}):
        rows = np.array([k for k, word in enumerate(words) if len(word) == length])
        bitmaps = np.stack([_bitmap(words[k]) for k in rows])
        ink[rows, 0] = _rasterise(bitmaps, _PIXELS_PER_DOT[length] * scale[rows], shift[rows])

    image = drawing.lit_background(layout.background, layout.gradient)
    rgb = drawing.shape_colour(colour, layout) * 0.8  # darker than a shape: letters are thin
    return drawing.to_uint8(image * (1 - ink) + rgb[:, :, None, None] * ink)


def _bitmap(word: str) -> np.ndarray:
    """float32 (7, 6 n - 1): the letters side by side, one empty column between."""
    if len(word) not in _PIXELS_PER_DOT or not set(word) <= set(LETTERS):
        raise ValueError(f"'{word}' is not two or three letters out of {LETTERS}.")
    dots = np.zeros((_ROWS, len(word) * (_COLUMNS + _GAP) - _GAP), dtype=np.float32)
    for position, letter in enumerate(word):
        left = position * (_COLUMNS + _GAP)
        rows = _FONT_ROWS[letter].split()
        dots[:, left : left + _COLUMNS] = [[float(dot) for dot in row] for row in rows]
    return dots


def _rasterise(bitmaps: np.ndarray, pixels_per_dot: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Exact area coverage of square dots: (N, 7, W) and sizes in pixels -> (N, 32, 32)."""

    def overlap(dots: int, centre: np.ndarray) -> np.ndarray:
        """(N, 32, dots): the share of each pixel's length that each dot covers."""
        pixel = np.arange(drawing.IMAGE_SIZE, dtype=np.float32)[None, :, None]
        width = pixels_per_dot[:, None, None]
        start = centre[:, None, None] + (np.arange(dots, dtype=np.float32) - dots / 2) * width
        length = np.minimum(pixel + 1, start + width) - np.maximum(pixel, start)
        return np.clip(length, 0, 1)

    middle = drawing.IMAGE_SIZE / 2
    across = overlap(bitmaps.shape[2], middle + shift[:, 0])
    down = overlap(_ROWS, middle + shift[:, 1])
    return np.clip(np.einsum("nyr,nrc,nxc->nyx", down, bitmaps, across, optimize=True), 0, 1)
