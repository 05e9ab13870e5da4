"""Text of others within the Markdown that we write (captions, tables, ledger)."""

from __future__ import annotations

import re

# A _ within a word is one; a * is not.
_MARKS = re.compile(r"([\\`*\[\]|~$#]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")


def escaped(text: str) -> str:
    """A text, on one line, that a reader of Markdown shows as it is: no marks, HTML or formula."""
    return _MARKS.sub(r"\\\1", without_html(text))


def without_html(text: str) -> str:
    """Markdown on one line, in which a `<` begins no tag and a `&` no entity."""
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text.replace("\n", " "))
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)
