"""Which preview strips the runs of an experiment have, and which of them one figure shows.

<run>/previews/epoch_00008.png
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

FOLDER = "previews"
MOST = 12  # columns of a figure


def strip_file(run: Path, epoch: int) -> Path:
    """The strip of an epoch, in a run's folder."""
    return run / FOLDER / f"epoch_{epoch:05d}.png"


def strip_files(run: Path) -> dict[int, Path]:
    """Epoch -> strip of a run's folder, in order; empty where none was drawn."""
    files = (run / FOLDER).glob("epoch_*.png")
    named = ((path, re.fullmatch(r"epoch_([0-9]+)", path.stem)) for path in files)
    return dict(sorted((int(found[1]), path) for path, found in named if found))


def shown_strips(runs: Iterable[Path]) -> list[dict[int, Path]]:
    """Epoch -> strip of each run, of the epochs that a figure of these runs shows.

    At most MOST of all their epochs, evenly spread, with the first and the last.
    """
    found = [strip_files(run) for run in runs]
    epochs = sorted({epoch for strips in found for epoch in strips})
    if (last := len(epochs) - 1) >= MOST:
        epochs = [epochs[round(n * last / (MOST - 1))] for n in range(MOST)]
    return [{epoch: strips[epoch] for epoch in epochs if epoch in strips} for strips in found]
