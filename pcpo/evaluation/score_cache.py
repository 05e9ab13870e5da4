"""Scores of checkpoints on disk: a selection that was stopped does not make their images again.

At the paper's scale the selection of one experiment takes days. A file holds the scores of one
checkpoint on one list of images, is named after a digest of all that they depend on, and ends in
a checksum (`pcpo.records.sealed`).
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcpo.records.durable import SUMS
from pcpo.records.replace import delete_abandoned, write_bytes
from pcpo.records.sealed import UNSEALED, check_seal, seal


class KeptScores:
    """A folder of scores.

    about: what all of them depend on beside the checkpoint, as JSON takes it: sampler, reward,
    code. Another value finds nothing of what is there.
    """

    def __init__(self, folder: Path, about: Any) -> None:
        self.folder = folder
        self.about = json.dumps(about, sort_keys=True)

    def of(
        self, name: str, checkpoint: Path, score: Callable[[], NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """The scores of a checkpoint's images, as float64 (N,), by `score` where they are not kept.

        name: of the file, for a reader: arm, epoch and which images. Raises OSError where the
        folder cannot be written, and FileNotFoundError for a checkpoint without its sums.
        """
        sums = (checkpoint / SUMS).read_bytes()
        key = hashlib.sha256(f"{self.about}\n{name}\n".encode() + sums).hexdigest()[:16]
        file = self.folder / f"{name}_{key}.npy"
        try:
            data = file.read_bytes()
            check_seal(data)
            kept: NDArray[np.float64] = np.load(io.BytesIO(data))
        except (FileNotFoundError, ValueError):  # not there, damaged, or less than all of it
            kept = score()
            array = io.BytesIO()
            np.save(array, kept)
            write_bytes(file, seal(array.getvalue() + UNSEALED.encode()))
        return kept

    def tidy(self) -> None:
        """Remove what killed processes left half-written."""
        delete_abandoned(self.folder)
