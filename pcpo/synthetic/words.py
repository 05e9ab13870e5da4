"""Drawn words: the synthetic text-rendering task (the counterpart of Flow-GRPO's OCR).

An image shows one word of four capital letters in a 5 x 7 dot font, two above two, on the same lit
backgrounds as the drawings; its prompt is `the word "TAXO"`. Each letter has ink of its own
strength. The OCR engine does not read pale letters, so that base images lack letters which training
can make readable.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
import torch

from pcpo.synthetic import drawing

LETTERS = "OXTLEUCZ"
PER_LINE, LINES = 2, 2
WORD_LENGTH = PER_LINE * LINES
STRENGTH = (0.35, 0.95)  # of the ink of a letter; 0 is the background, 1 the ink's colour
READABLE = 0.65  # weaker letters are not read
_FONT_ROWS = {
    "O": "01110 10001 10001 10001 10001 10001 01110",
    "X": "10001 10001 01010 00100 01010 10001 10001",
    "T": "11111 00100 00100 00100 00100 00100 00100",
    "L": "10000 10000 10000 10000 10000 10000 11111",
    "E": "11111 10000 10000 11110 10000 10000 11111",
    "U": "10001 10001 10001 10001 10001 10001 01110",
    "C": "01111 10000 10000 10000 10000 10000 01111",
    "Z": "11111 00001 00010 00100 01000 10000 11111",
}
_ROWS, _COLUMNS, _GAP = 7, 5, 1
_PIXELS_PER_DOT = 1.85
# Two-letter endings that the CLIP vocabulary holds as one piece, because a caption's word ends in
# them ("moon", "line", ...): a drawn word must stay one token per letter.
_RESERVED_ENDINGS = ("LE", "UE", "OT")


def _choose_words(count: int) -> tuple[str, ...]:
    """A fixed selection without repeated letters, evenly spread over all candidates."""
    candidates = ["".join(letters) for letters in permutations(LETTERS, WORD_LENGTH)]
    candidates = [word for word in candidates if not word.endswith(_RESERVED_ENDINGS)]
    return tuple(candidates[(k * len(candidates)) // count] for k in range(count))


WORDS = _choose_words(72)


def prompt(word: str) -> str:
    """The prompt that asks for `word`."""
    return f'the word "{word}"'


def ink_strengths(count: int, rng: np.random.Generator) -> np.ndarray:
    """float32 (count, WORD_LENGTH): one for each letter, uniform over STRENGTH."""
    return rng.uniform(*STRENGTH, (count, WORD_LENGTH)).astype(np.float32)


def draw_words(
    words: Sequence[str], rng: np.random.Generator, strengths: np.ndarray | None = None
) -> torch.Tensor:
    """Random images of `words` (WORD_LENGTH letters of LETTERS each).

    Args:
        words: N words.
        rng: the same state gives the same bytes.
        strengths: as `ink_strengths` makes them, which is the default.

    Returns:
        uint8 (N, 3, 32, 32) RGB.
    """
    count = len(words)
    layout = drawing.sample_layout(count, rng)
    colour = rng.integers(len(drawing.COLOURS), size=count)
    scale = rng.uniform(0.94, 1.06, count).astype(np.float32)
    shift = rng.uniform(-1.5, 1.5, (count, 2)).astype(np.float32)
    if strengths is None:
        strengths = ink_strengths(count, rng)
    dots = np.stack([_bitmap(word, ink) for word, ink in zip(words, strengths, strict=True)])
    ink = _rasterise(dots, _PIXELS_PER_DOT * scale, shift)[:, None]
    image = drawing.lit_background(layout.background, layout.gradient)
    rgb = drawing.shape_colour(colour, layout) * 0.8  # darker than a shape: letters are thin
    return drawing.to_uint8(image * (1 - ink) + rgb[:, :, None, None] * ink)


def _bitmap(word: str, strengths: Sequence[float] | np.ndarray) -> np.ndarray:
    """float32 (15, 11): two lines of two letters, one empty row and column between."""
    if len(word) != WORD_LENGTH or not set(word) <= set(LETTERS):
        raise ValueError(f"'{word}' is not {WORD_LENGTH} letters out of {LETTERS}.")
    height, width = _ROWS + _GAP, _COLUMNS + _GAP
    dots = np.zeros((LINES * height - _GAP, PER_LINE * width - _GAP), dtype=np.float32)
    for position, (letter, strength) in enumerate(zip(word, strengths, strict=True)):
        line, column = divmod(position, PER_LINE)
        top, left = line * height, column * width
        rows = [[float(dot) for dot in row] for row in _FONT_ROWS[letter].split()]
        dots[top : top + _ROWS, left : left + _COLUMNS] = np.array(rows) * strength
    return dots


def _rasterise(bitmaps: np.ndarray, pixels_per_dot: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Exact area coverage of square dots: (N, H, W) and sizes in pixels -> (N, 32, 32)."""

    def overlap(dots: int, centre: np.ndarray) -> np.ndarray:
        """(N, 32, dots): the share of each pixel's length that each dot covers."""
        pixel = np.arange(drawing.IMAGE_SIZE, dtype=np.float32)[None, :, None]
        width = pixels_per_dot[:, None, None]
        start = centre[:, None, None] + (np.arange(dots, dtype=np.float32) - dots / 2) * width
        length = np.minimum(pixel + 1, start + width) - np.maximum(pixel, start)
        return np.clip(length, 0, 1)

    middle = drawing.IMAGE_SIZE / 2
    across = overlap(bitmaps.shape[2], middle + shift[:, 0])
    down = overlap(bitmaps.shape[1], middle + shift[:, 1])
    return np.clip(np.einsum("nyr,nrc,nxc->nyx", down, bitmaps, across, optimize=True), 0, 1)
