"""The text below a figure: what it shows, how it was made, smoothing, seeds, and the scale."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pcpo.figures import style
from pcpo.figures.kinds import KINDS
from pcpo.figures.registry import FIGURES
from pcpo.markdown import without_html
from pcpo.records.caption import Caption


def caption(
    name: str,
    experiments: Sequence[Any] = (),
    seeds: Sequence[int] = (),
    remarks: Sequence[str] = (),
    note: str = "",
) -> Caption:
    """The caption of a figure (a name in `pcpo.figures.registry.FIGURES`) or of a kind.

    `experiments` are its panels in order, `seeds` the training seeds drawn, `remarks` sentences on
    this drawing (what is missing, which checkpoints) in Markdown, `note` the scale's sentence.
    Raises ValueError for an unknown name.
    """
    if name not in FIGURES and name not in KINDS:
        known = ", ".join([*FIGURES, *KINDS])
        raise ValueError(f"no figure is called '{name}'; known: {known}")
    kind = KINDS[FIGURES[name].kind if name in FIGURES else name]
    parts = [kind.caption.format(window=style.WINDOW)]
    if experiments and kind.panels:
        panels = "; ".join(_panel(e, mark) for e, mark in zip(
            experiments, style.letters(experiments), strict=True))  # fmt: skip
        parts.append(f"Configurations: {panels}.")
    listed = ", ".join(map(str, seeds))
    if len(seeds) > 1 and not kind.averaged:
        parts.append(f"Training seeds {listed}.")
    elif len(seeds) > 1:
        parts.append(
            f"Lines are means over the training seeds {listed}, bands run from the lowest to the "
            "highest seed."
        )
    elif len(seeds) == 1:
        parts.append(
            f"One training run per arm (seed {seeds[0]}): variation between runs is not shown."
        )
    if name in FIGURES and not re.match(r"figure\d", name):
        parts.append("This figure is not in the paper.")
    for sentence in (kind.remark(experiments), *remarks, without_html(note)):
        if sentence:
            parts.append(f"{sentence[0].upper()}{sentence[1:].rstrip('.')}.")
    return Caption(_figure(name), f"{kind.title}.", " ".join(parts))


def _figure(name: str) -> str:
    """Figure 1(a) for figure1a; nothing for a figure that the paper does not have."""
    number = re.fullmatch(r"figure(\d+)([a-z]?)", name)
    if not number:
        return ""
    return f"Figure {number[1]}{f'({number[2]})' if number[2] else ''}, ours"


def _panel(experiment: Any, letter: str) -> str:
    """(a) 2, DDPO (SD1.5), Aesthetics: the number is Table 7's."""
    mark = f"({letter}) " if letter else ""
    return f"{mark}{experiment.number}, {style.title(experiment).replace(chr(10), ', ')}"
