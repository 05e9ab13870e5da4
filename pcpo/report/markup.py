"""Markdown of notes, captions and claims as HTML; links to the tables and figures of the page."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markupsafe import Markup

# Only what is within a line, without links, pictures and HTML: some texts come from an archive.
_MARKDOWN = MarkdownIt("zero").enable(["backticks", "emphasis", "entity", "escape"])

_REFERENCE = re.compile(
    r"\b(?P<kind>Tables?|Tab\.|Figures?|Figs?\.)\s?(?P<number>\d+)(?:\s?\(?(?P<part>[a-z])\b\)?)?"
)


def inline(text: str) -> Markup:
    """`code`, **strong** and *emphasised* words, escapes and entities; all else as it is."""
    return Markup(_MARKDOWN.renderInline(text.strip()))


def linked(text: str, anchors: Sequence[str]) -> Markup:
    """`inline`, with links from Table 2(a) or Fig. 3 to the anchors table2a or figure3, if any.

    Table 5 links to table5a where the page has no table5.
    """

    def link(found: re.Match[str]) -> str:
        kind = "table" if found["kind"].startswith("T") else "figure"
        wanted = kind + found["number"]
        near = [a for a in anchors if re.fullmatch(wanted + "[a-z]?", a)]
        exact = [a for a in near if a == wanted + (found["part"] or "")]
        target = (exact or near)[:1]
        return f'<a href="#{target[0]}">{found[0]}</a>' if target else found[0]

    return Markup(_REFERENCE.sub(link, str(inline(text))))
