"""Figures as drawn: the PNG embedded in the page, its caption from the .json beside it."""

from __future__ import annotations

import base64
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from pcpo.paths import FIGURES
from pcpo.records.caption import Caption
from pcpo.records.values import read_json
from pcpo.report.files import Artefact

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_END = b"IEND\xaeB`\x82"


@dataclass(frozen=True)
class Drawn:
    """A figure in the page; `source` is a data: URL, so that nothing is loaded."""

    name: str
    title: str
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

    Raises ValueError where the file is no complete PNG, or the caption cannot be read.
    """
    path = root / "figures" / f"{name}.png"
    if not path.exists():
        return None
    data = path.read_bytes()
    if not data.startswith(_SIGNATURE) or len(data) < 33 or _END not in data[-32:]:
        raise ValueError(f"{path}: not a whole PNG file; draw it again with `snakemake {name}`")
    width, height = struct.unpack(">II", data[16:24])
    note = path.with_suffix(".json")
    caption = read_json(note, Caption) if note.exists() else Caption("", "", "")
    files = [path.with_suffix(suffix) for suffix in (".pdf", ".svg", ".png", ".md")]
    return Drawn(
        name,
        title(name),
        caption.heading,
        caption.text,
        "data:image/png;base64," + base64.b64encode(data).decode(),
        width,
        height,
        tuple(Artefact.of(file, root) for file in files if file.exists()),
    )


def title(name: str) -> str:
    """Figure 1a for figure1a; other drawings by their kind."""
    if paper := re.fullmatch(r"figure(\d+\w*)", name):
        return f"Figure {paper[1]}"
    return name.replace("_", " ").capitalize()


def experiments_of(name: str) -> tuple[int, ...]:
    """Numbers of the configurations that a figure draws."""
    return tuple(FIGURES[name].experiments)
