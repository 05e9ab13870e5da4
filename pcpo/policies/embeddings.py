"""Prompt embeddings, computed once and kept on disk: runs need no text encoder after that.

    <folder>/<digest of the prompt>.safetensors     one row of each tensor that the denoiser takes

Files are replaced as a whole, so processes may share the folder. Each has a checksum in its
metadata (`pcpo.records.sealed`).
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from pcpo.records.digest import of_text
from pcpo.records.replace import delete_abandoned, write_bytes
from pcpo.records.sealed import UNSEALED, check_seal, seal

# One row per prompt, by the name of the denoiser's argument.
Conditioning = dict[str, Tensor]
RECENT = 256  # rows kept in memory; a FLUX row has 4 MB


class PromptEmbeddings:
    """The embeddings of one set of text encoders; without a folder, only in memory."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._rows: OrderedDict[str, Conditioning] = OrderedDict()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            delete_abandoned(folder)

    def _file(self, prompt: str) -> Path | None:
        if self.folder is None:
            return None
        return self.folder / f"{of_text(prompt)}.safetensors"

    def __contains__(self, prompt: str) -> bool:
        file = self._file(prompt)
        return prompt in self._rows or (file is not None and file.exists())

    def get(self, prompt: str) -> Conditioning | None:
        """The row of a prompt, or None if it is not computed yet (or its file is damaged)."""
        if prompt in self._rows:
            self._rows.move_to_end(prompt)
            return self._rows[prompt]
        file = self._file(prompt)
        if file is None or not file.exists():
            return None
        try:
            data = file.read_bytes()
            check_seal(data)
            row = load(data)
        except (ValueError, SafetensorError):
            return None  # computed again, and replaced
        self._keep(prompt, row)
        return row

    def put(self, prompt: str, row: Conditioning) -> None:
        """Store a row `(1, ...)` of each tensor; raises OSError if it cannot be written."""
        file = self._file(prompt)
        if file is not None:
            tensors = {key: value.cpu().contiguous() for key, value in row.items()}
            write_bytes(file, seal(save(tensors, metadata={"checksum": UNSEALED})), tidy=False)
        self._keep(prompt, row)

    def _keep(self, prompt: str, row: Conditioning) -> None:
        self._rows[prompt] = row
        if self.folder is not None:
            while len(self._rows) > RECENT:
                self._rows.popitem(last=False)
