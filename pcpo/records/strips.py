"""Preview strips of a run: a PNG of an epoch, its images side by side and their prompts in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from pcpo.records.replace import new_file
from pcpo.records.strip_files import strip_file, strip_files

_PROMPTS = "prompts"  # the key of the PNG's text
# What a foreign file raises.
_DAMAGE = (
    *(OSError, SyntaxError, LookupError, TypeError, ValueError, AttributeError),
    *(RecursionError, Image.DecompressionBombError),
)


class Strip(NamedTuple):
    """k prompts and their images, uint8 (k, H, W, 3)."""

    prompts: tuple[str, ...]
    images: NDArray[np.uint8]


def write(run: Path, epoch: int, prompts: Sequence[str], images: NDArray[np.uint8]) -> Path:
    """Write the strip of an epoch; images: uint8 (k, 3, H, W), one for each prompt."""
    row = np.concatenate([image.transpose(1, 2, 0) for image in images], axis=1)
    text = PngImagePlugin.PngInfo()
    text.add_itxt(_PROMPTS, json.dumps(list(prompts)))
    path = strip_file(run, epoch)
    with new_file(path) as part:
        Image.fromarray(row).save(part, format="png", pnginfo=text)
    return path


def read(run: Path) -> dict[int, Strip]:
    """Epoch -> strip of a run's folder, in order; ValueError for a damaged one."""
    return read_files(strip_files(run))


def read_files(files: Mapping[int, Path]) -> dict[int, Strip]:
    """Epoch -> strip of each file; ValueError for a damaged one, or one that `write` did not make.

    The files may come from someone else's archive.
    """
    return {epoch: _read(path) for epoch, path in files.items()}


def _read(path: Path) -> Strip:
    try:
        # Only PNG: for some formats Pillow starts other programs.
        with Image.open(path, formats=("PNG",)) as image:
            if image.mode != "RGB":
                raise ValueError(f"it is {image.mode}, not RGB")
            pixels = np.asarray(image)
            prompts = json.loads(image.text[_PROMPTS])  # type: ignore[attr-defined]
        if not (isinstance(prompts, list) and prompts and all(isinstance(p, str) for p in prompts)):
            raise ValueError("its prompts are no list of texts")
        "".join(prompts).encode()  # a text that UTF-8 cannot have
        return Strip(tuple(prompts), np.stack(np.split(pixels, len(prompts), axis=1)))
    except PermissionError:
        raise
    except _DAMAGE as error:
        raise ValueError(f"{path}: a damaged preview ({error}); delete it") from error
