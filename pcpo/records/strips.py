"""Preview strips of a run: a PNG for an epoch, its images side by side, with their prompts in it.

<run>/previews/epoch_00008.png
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, PngImagePlugin

from pcpo.records.replace import new_file

FOLDER = "previews"
_PROMPTS = "prompts"  # the key of the PNG's text


class Strip(NamedTuple):
    """k prompts and their images, uint8 (k, H, W, 3)."""

    prompts: tuple[str, ...]
    images: np.ndarray


def write(run: Path, epoch: int, prompts: Sequence[str], images: np.ndarray) -> Path:
    """Write the strip of an epoch; images: uint8 (k, 3, H, W), one for each prompt."""
    row = np.concatenate([image.transpose(1, 2, 0) for image in images], axis=1)
    text = PngImagePlugin.PngInfo()
    text.add_itxt(_PROMPTS, json.dumps(list(prompts)))
    path = run / FOLDER / f"epoch_{epoch:05d}.png"
    with new_file(path) as part:
        Image.fromarray(row).save(part, format="png", pnginfo=text)
    return path


def read(run: Path) -> dict[int, Strip]:
    """Epoch -> strip, in order; empty where none was drawn. ValueError for a damaged one."""
    found = {}
    for path in sorted((run / FOLDER).glob("epoch_*.png")):
        if named := re.fullmatch(r"epoch_(\d+)", path.stem):
            found[int(named[1])] = _read(path)
    return found


def _read(path: Path) -> Strip:
    try:
        with Image.open(path) as image:
            pixels: Any = np.asarray(image.convert("RGB"))
            prompts = json.loads(image.text[_PROMPTS])  # type: ignore[attr-defined]
        images = np.split(pixels, len(prompts), axis=1)
        return Strip(tuple(map(str, prompts)), np.stack(images))
    except PermissionError:
        raise
    except (OSError, SyntaxError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path}: a damaged preview ({error}); delete it") from error
