"""The kinds of figures by name: their drawing function, frames and captions.

A kind is a module of this folder with `TITLE`, `CAPTION` and a function of the module's name under
`style.draws`. It may have `remark(experiments)`, a sentence for the caption, `PHASES`, `AVERAGED`
and `PANELS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from pcpo.records import frames


class Kind(NamedTuple):
    """`draw(*frames, experiments, arms=...)`; a grid of images has no frames.

    `phases`: whether it shows phases of training; the caption names their exceptions. `averaged`:
    whether its lines are means over training seeds. panels: whether each experiment has a panel,
    which the caption then names.
    """

    draw: Callable[..., Figure]
    frames: tuple[frames.FrameSpec, ...]
    title: str
    caption: str
    remark: Callable[[Sequence[Any]], str]  # a sentence on these experiments, or ""
    phases: bool = False
    averaged: bool = True
    panels: bool = True


def _kind(name: str) -> Kind:
    module = import_module(f"pcpo.figures.{name}")
    draw = getattr(module, name)
    return Kind(
        draw,
        draw.frames,
        module.TITLE,
        module.CAPTION,
        getattr(module, "remark", lambda experiments: ""),
        getattr(module, "PHASES", False),
        getattr(module, "AVERAGED", True),
        getattr(module, "PANELS", True),
    )


def _names() -> list[str]:
    """Modules with a caption; the others are not imported."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return [f.stem for f in files if re.search("^CAPTION = ", f.read_text(encoding="utf-8"), re.M)]


KINDS = {name: _kind(name) for name in _names()}
