"""Text of others within the Markdown that we write (captions, tables, ledger), and back."""

from __future__ import annotations

import re

# A _ within a word is one; a * is not.
_MARKS = re.compile(r"([\\`*\[\]|~$#]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])|&(lt|amp);")
_CHARACTERS = {"lt": "<", "amp": "&"}


def escaped(text: str) -> str:
    """A text, on one line, that a reader of Markdown shows as it is: no marks, HTML or formula."""
    return _MARKS.sub(r"\\\1", without_html(text))


def without_html(text: str) -> str:
    """Markdown on one line, in which a `<` begins no tag and a `&` no entity."""
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text.replace("\n", " "))
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)


def plain(text: str) -> str:
    """The text that `escaped` was given."""
    return _ESCAPED.sub(lambda found: found[1] or _CHARACTERS[found[2]], text)
