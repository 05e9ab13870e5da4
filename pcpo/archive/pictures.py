"""Only the images that sample grids show: a folder's whole index, and parts of its shards.

The index stays whole because the choice of prompts depends on it. The drawing code reads such a
folder like a full one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from pcpo.evaluation.images import INDEX, partial_shard, read_index
from pcpo.figures.grid_prompts import GRIDS, Grid, same_images

Row = tuple[str, Path]  # an arm and the folder of its images, as the command `figure` takes them


def shown_images(grids: Mapping[str, Iterable[Row]]) -> dict[Path, Path | bytes]:
    """Files of the folders of `grids` (figure -> its rows) that the figures are drawn from.

    Raises FileNotFoundError and ValueError where images are missing, as drawing would.
    """
    chosen: dict[tuple[Path, str], set[str]] = {}
    found: dict[Path, Path | bytes] = {}
    for figure, rows in grids.items():
        by_arm: dict[str, list[Path]] = {}
        for arm, folder in rows:
            by_arm.setdefault(arm, []).append(folder)
        for block, folders in enumerate(zip(*by_arm.values(), strict=True)):
            first, _ = GRIDS.get(figure, Grid()).choose(read_index(folders[0]), block)
            for folder in folders:
                index = same_images(first, read_index(folder), folder)
                found[folder / INDEX] = folder / INDEX
                for shard, file in zip(index["shard"], index["file"], strict=True):
                    chosen.setdefault((folder, str(shard)), set()).add(str(file))
    for (folder, shard), files in chosen.items():
        found[folder / shard] = partial_shard(folder, shard, sorted(files))
    return found
