"""Scores of checkpoints on disk: a resumed selection does not make their images again.

At the paper's scale the selection of one experiment takes days. A file has the scores of one
checkpoint on one list of images, is named after a key of all their inputs, and ends with a
checksum (`pcpo.records.sealed`).
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pcpo.records.digest import SHORT, SUMS, of_bytes
from pcpo.records.replace import delete_abandoned, write_bytes
from pcpo.records.sealed import UNSEALED, check_seal, seal


class KeptScores:
    """A folder of scores.

    about: all inputs of the scores except the checkpoint, in JSON types: sampler, reward, code.
    With another value the existing scores are not found.
    """

    def __init__(self, folder: Path, about: Any) -> None:
        self.folder = folder
        self.about = json.dumps(about, sort_keys=True)

    def of(
        self, name: str, checkpoint: Path, score: Callable[[], NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """The scores of a checkpoint's images, as float64 (N,); `score` computes missing ones.

        name: of the file, for people: arm, epoch and which images. Raises OSError if the folder
        cannot be written, and FileNotFoundError for a checkpoint without its checksums.
        """
        sums = (checkpoint / SUMS).read_bytes()
        key = of_bytes(f"{self.about}\n{name}\n".encode() + sums)[:SHORT]
        file = self.folder / f"{name}_{key}.npy"
        try:
            data = file.read_bytes()
            check_seal(data)
            kept: NDArray[np.float64] = np.load(io.BytesIO(data))
        except (FileNotFoundError, ValueError):  # missing, damaged or incomplete
            kept = score()
            array = io.BytesIO()
            np.save(array, kept)
            write_bytes(file, seal(array.getvalue() + UNSEALED.encode()))
        return kept

    def tidy(self) -> None:
        """Delete partial files of killed processes."""
        delete_abandoned(self.folder)
