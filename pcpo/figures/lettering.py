"""Prompts in figures: unchanged text, in an installed font that has its characters.

A prompt is drawn without mathematics (`parse_math=False`: `$` is a dollar sign), in the families of
`lettering`, and with a box for each character that none of them has.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from matplotlib import font_manager

BOX = "□"
_OWN = "DejaVu Sans"  # comes with matplotlib
_STAND_INS = ("Last Resort", "LastResort", "Adobe Blank")  # have a shape for every character
_NAMED = 12  # characters that a caption lists


@dataclass(frozen=True)
class Lettering:
    """`families`: fonts to draw with, in order; `missing`: characters that none of them has."""

    families: tuple[str, ...]
    missing: frozenset[str]

    def drawn(self, text: str) -> str:
        """The text with boxes. Characters without a glyph of their own (joiners, direction marks,
        byte order marks) are left out: they crash PDF, and direction is found without them."""
        seen = (c for c in text if unicodedata.category(c) != "Cf")
        return "".join(BOX if c in self.missing else c for c in seen)

    def remark(self) -> str:
        """The caption's sentence about the boxes; "" without any."""
        if not self.missing:
            return ""
        named = [f"U+{ord(c):04X}" for c in sorted(self.missing)]
        more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        listed = ", ".join(named[:_NAMED]) + more
        return f"A {BOX} in the figure replaces a character that no installed font has: {listed}"


def lettering(texts: Iterable[str]) -> Lettering:
    """The fonts for some texts: matplotlib's own, then installed ones for missing characters."""
    wanted = {c for text in texts for c in text if not c.isspace()}
    wanted -= {c for c in wanted if unicodedata.category(c) == "Cf"}
    families, missing = [_OWN], wanted - _characters(_OWN)
    for family in _installed() if any(c.isprintable() for c in missing) else ():
        if found := missing & _characters(family):
            families.append(family)
            missing -= found
    return Lettering(tuple(families), frozenset(missing))


def _installed() -> Iterator[str]:
    """Outline font families, by name."""
    names = {entry.name for entry in font_manager.fontManager.ttflist}
    yield from sorted(n for n in names - {_OWN} if not n.startswith(_STAND_INS))


@cache
def _characters(family: str) -> frozenset[str]:
    """The characters of a family's upright font; none where it cannot be read or scaled."""
    try:
        path = font_manager.findfont(
            font_manager.FontProperties(family=[family]), fallback_to_default=False
        )
        font = font_manager.get_font(path)
    except (ValueError, OSError, RuntimeError):
        return frozenset()
    if not font.scalable:  # bitmaps, such as emoji
        return frozenset()
    return frozenset(chr(code) for code in font.get_charmap() if chr(code).isprintable())
