"""The features of a folder of images: computed in one pass, kept on disk, and reused.

    <images>/features/<features>.<output>.npy             one row per image, in the index's order
    <images>/features/<features>.<output>.<metric>.json   a running metric's value for each prompt

Features too large to keep (an LPIPS vector is 10 MB) go into their metric at once. A JSON file
beside each array has its SHA-256 and names the images, weights and code that made it. Where these
are the same, the images are not read again, and several experiments share the features of one base
model. Damaged files are computed again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pcpo import metrics
from pcpo.config import FeatureSource
from pcpo.evaluation.images import image_digest, read_images, read_index
from pcpo.evaluation.rows import Rows, RowWriter
from pcpo.features import FeatureExtractor
from pcpo.names import shown
from pcpo.records.digest import of_file
from pcpo.records.lock import alone
from pcpo.records.replace import write_bytes
from pcpo.records.sealed import UNSEALED, check_seal, seal

IMAGES = 256  # at most so many are read at once
PIXELS = 2**22  # and at most so many pixels: 16 images of 512 x 512
PIECE = 2**26  # bytes of a prompt's features that are joined for a running metric


class ImageSet:
    """A folder of images with the features that `quality` needs.

    - `index`: DataFrame of prompt_id, prompt, image_seed, shard, file, grouped by prompt
    - `rows[features, output]`: `Rows` (N, d), one per row of the index, for metrics of rows
    - `values[features, output, metric]`: {prompt_id: value} of running metrics
    - `dimensions[features, output]`: d
    - `computed`: the features that were not found on disk, as `<features>.<output>`

    `extractors` get at most IMAGES images per call, so memory does not grow with the number of
    images. Raises ValueError for an index that is not grouped or names an image twice, for damaged
    images, and for features that are not finite, with the name of the image.
    """

    def __init__(
        self,
        folder: Path,
        extractors: Mapping[str, FeatureExtractor],
        quality: Mapping[str, FeatureSource],
    ) -> None:
        self.folder = folder
        self.index = read_index(folder)
        prompts = self.index["prompt_id"]
        if (prompts != prompts.shift()).sum() != prompts.nunique():
            raise ValueError(
                f"{folder / 'index.csv'}: a prompt's images do not follow one another; delete the "
                "file so that the workflow makes the images again"
            )
        images = image_digest(folder, self.index)
        wanted: dict[Path, _KeptRows | _PromptValues] = {}
        for column, source in quality.items():
            extractor, metric = extractors[source.features], metrics.load(source.metric)
            if source.output not in extractor.outputs:
                raise ValueError(
                    f"quality.{column}: pcpo/features/{source.features}.py gives no "
                    f"'{source.output}', only {', '.join(extractor.outputs)}"
                )
            made_from = {"images": images, "extractor": extractor.digest}
            part = (
                _KeptRows(folder, source, made_from, len(self.index))
                if metric.running is None
                else _PromptValues(folder, source, made_from, metric.running)
            )
            wanted[part.path] = part
        with alone(folder / "features" / "lock", waiting=lambda holder: None):
            missing = [part for part in wanted.values() if not part.restore()]
            if missing:
                self._compute(missing, extractors)
        self.computed = [f"{part.features}.{part.output}" for part in missing]
        self.rows: dict[tuple[str, str], Rows] = {}
        self.values: dict[tuple[str, str, str], dict[int, float]] = {}
        self.dimensions: dict[tuple[str, str], int] = {}
        for part in wanted.values():
            self.dimensions[part.features, part.output] = part.dimensions
            if isinstance(part, _KeptRows):
                self.rows[part.features, part.output] = part.rows
            else:
                self.values[part.features, part.output, part.metric] = part.values

    def __len__(self) -> int:
        return len(self.index)

    def _compute(
        self,
        missing: list[_KeptRows | _PromptValues],
        extractors: Mapping[str, FeatureExtractor],
    ) -> None:
        height, width = read_images(self.folder, self.index.iloc[:1]).shape[2:]
        size = max(1, min(IMAGES, PIXELS // (height * width)))
        with ExitStack() as stack:
            for part in missing:
                stack.enter_context(part.writing())
            for start in range(0, len(self.index), size):
                batch = self.index.iloc[start : start + size]
                images = torch.from_numpy(read_images(self.folder, batch))
                for name in sorted({part.features for part in missing}):
                    outputs = extractors[name](images)
                    for part in missing:
                        if part.features == name:
                            values = outputs[part.output]
                            finite = np.isfinite(values).all(axis=1)
                            if not finite.all():
                                image = batch.iloc[int(np.argmin(finite))]
                                raise ValueError(
                                    f"{self.folder}: features {name}.{part.output} are NaN or "
                                    f"infinite, first for prompt {image['prompt_id']} "
                                    f"({shown(image['prompt'])}) image seed {image['image_seed']}"
                                )
                            part.add(values, batch["prompt_id"].to_numpy())


class _KeptRows:
    """Rows of one output, and their file."""

    def __init__(
        self, folder: Path, source: FeatureSource, made_from: dict[str, str], count: int
    ) -> None:
        self.features, self.output, self.count = source.features, source.output, count
        self.path = folder / "features" / f"{source.features}.{source.output}.npy"
        self.made_from = made_from

    def restore(self) -> bool:
        """Load the file; False if it is missing, damaged, or of other images."""
        try:
            origin = _read_json(self.path.with_suffix(".json"))
            if origin != self.made_from | {"rows": of_file(self.path)}:
                return False
            self.rows = Rows(self.path)
        except (FileNotFoundError, ValueError):
            return False
        return len(self.rows) == self.count

    @contextmanager
    def writing(self) -> Iterator[None]:
        note = self.path.with_suffix(".json")
        note.unlink(missing_ok=True)
        with RowWriter(self.path, self.count) as self._writer:
            yield
        _write_json(note, self.made_from | {"rows": of_file(self.path)})
        self.rows = Rows(self.path)

    def add(self, values: np.ndarray, prompts: np.ndarray) -> None:
        self._writer.add(values)

    @property
    def dimensions(self) -> int:
        return self.rows.shape[1]


class _PromptValues:
    """A running metric's value for each prompt."""

    def __init__(
        self,
        folder: Path,
        source: FeatureSource,
        made_from: dict[str, str],
        metric: Callable[[], metrics.Running],
    ) -> None:
        self.features, self.output, self.metric = source.features, source.output, source.metric
        name = f"{source.features}.{source.output}.{source.metric}.json"
        self.path = folder / "features" / name
        code = Path(metrics.__file__).parent / f"{source.metric}.py"
        self.made_from = made_from | {"metric": of_file(code)}
        self.make = metric
        self.values: dict[int, float] = {}
        self.dimensions = 0
        self._pieces: list[np.ndarray] = []
        self._prompt: int | None = None

    def restore(self) -> bool:
        """Load the file; False if it is missing, damaged, or of other images."""
        try:
            stored = _read_json(self.path)
            if stored["made_from"] != self.made_from:
                return False
            self.dimensions = stored["dimensions"]
            self.values = {int(prompt): value for prompt, value in stored["values"].items()}
        except (FileNotFoundError, ValueError, KeyError):
            return False
        return True

    @contextmanager
    def writing(self) -> Iterator[None]:
        self.path.unlink(missing_ok=True)
        yield
        self._end_prompt()
        stored = {"made_from": self.made_from, "dimensions": self.dimensions, "values": self.values}
        _write_json(self.path, stored)

    def add(self, values: np.ndarray, prompts: np.ndarray) -> None:
        self.dimensions = values.shape[1]
        for rows in np.split(np.arange(len(prompts)), np.flatnonzero(np.diff(prompts)) + 1):
            if prompts[rows[0]] != self._prompt:
                self._end_prompt()
                self._prompt, self._running = int(prompts[rows[0]]), self.make()
            self._pieces.append(values[rows[0] : rows[-1] + 1])
            if sum(piece.nbytes for piece in self._pieces) > PIECE:
                self._flush()

    def _flush(self) -> None:
        """Pass the prompt's collected features to the metric; few large pieces are faster."""
        if self._pieces:
            whole = len(self._pieces) > 1
            self._running.update(np.concatenate(self._pieces) if whole else self._pieces[0])
            self._pieces = []

    def _end_prompt(self) -> None:
        if self._prompt is not None:
            self._flush()
            self.values[self._prompt] = self._running.value()


def _read_json(path: Path) -> dict[str, Any]:
    """Read a file of `_write_json`. Raises ValueError if it is damaged."""
    data = path.read_bytes()
    check_seal(data)
    content = dict(json.loads(data))
    del content["checksum"]
    return content


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_bytes(path, seal(json.dumps({**content, "checksum": UNSEALED}, indent=1).encode()))
