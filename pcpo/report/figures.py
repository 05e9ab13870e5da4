"""Figures and pictures as drawn: a PNG in the page, its caption from the .json beside it."""

from __future__ import annotations

import base64
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from pcpo.config import Experiment
from pcpo.figures.registry import FIGURES
from pcpo.records.caption import Caption
from pcpo.records.strip_files import strip_files
from pcpo.records.values import read_json
from pcpo.report.files import Artefact

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"IEND\xaeB`\x82"


@dataclass(frozen=True)
class Drawn:
    """A figure in the page; `source` is a data: URL, so that nothing is loaded."""

    name: str
    title: str
    target: str  # the word of Snakemake's command line that draws it
    heading: str  # what it shows; "" where no caption was written
    caption: str  # Markdown; "" likewise
    source: str
    width: int
    height: int
    files: tuple[Artefact, ...]

    @property
    def alternative(self) -> str:
        """The picture's alternative text: its heading, or the caption's first sentence."""
        first = self.heading or re.split(r"(?<=[.!?])\s", self.caption, maxsplit=1)[0]
        return re.sub(r"[#*`]", "", first) or self.title


def read_figure(name: str, root: Path) -> Drawn | None:
    """results/<scale>/figures/<name>.png and its caption; None where it was not drawn.

    Raises the errors of `_read`.
    """
    path = root / "figures" / f"{name}.png"
    return _read(path, root, name, title(name), name) if path.exists() else None


def read_pictures(experiment: Experiment, seed: int, root: Path, folder: Path) -> Drawn | None:
    """An experiment's training in pictures, below results/<scale> (`root`).

    `folder` is the page's. None where its runs have no previews, or they were not drawn. Raises the
    errors of `_read`.
    """
    runs = [root / "runs" / experiment.name / arm / f"seed{seed}" for arm in experiment.arms]
    path = root / "pictures" / f"{experiment.name}_seed{seed}.png"
    if not (path.exists() and any(map(strip_files, runs))):
        return None
    name = f"pictures_{experiment.name}"
    return _read(path, folder, name, f"Configuration {experiment.number}", "pictures")


def _read(path: Path, folder: Path, name: str, title: str, target: str) -> Drawn:
    """A PNG and its caption; ValueError where it is no complete PNG, or the caption is damaged."""
    data = path.read_bytes()
    if not data.startswith(_SIGNATURE) or len(data) < 33 or _END not in data[-32:]:
        raise ValueError(f"{path}: not a whole PNG file; draw it again with `snakemake {target}`")
    width, height = struct.unpack(">II", data[16:24])
    note = path.with_suffix(".json")
    caption = read_json(note, Caption) if note.exists() else Caption("", "", "")
    files = [path.with_suffix(suffix) for suffix in (".pdf", ".svg", ".png", ".md")]
    return Drawn(
        name,
        title,
        target,
        caption.heading,
        caption.text,
        "data:image/png;base64," + base64.b64encode(data).decode(),
        width,
        height,
        tuple(Artefact.of(file, folder) for file in files if file.exists()),
    )


def title(name: str) -> str:
    """Figure 1a for figure1a; other drawings by their kind."""
    if paper := re.fullmatch(r"figure(\d+\w*)", name):
        return f"Figure {paper[1]}"
    return name.replace("_", " ").capitalize()


def experiments_of(name: str) -> tuple[int, ...]:
    """Numbers of the configurations that a figure draws."""
    return tuple(FIGURES[name].experiments)
