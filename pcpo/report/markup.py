"""The subset of Markdown in notes and captions as HTML; everything is escaped first."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markupsafe import Markup, escape

# In escaped text: `code`, a \-escaped character, an entity (pcpo.markdown writes the last two).
_LITERAL = re.compile(
    r"`(?P<code>[^`]+)`|\\(?P<mark>&(?:amp|lt|gt|#34|#39);|[!-/:-@\[-`{-~])|&amp;(?P<entity>lt|amp);"
)
_INLINE = (
    (re.compile(r"\*\*([^*]+)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"(?<![\w*])\*([^\s*](?:[^*]*[^\s*])?)\*(?![\w*])"), r"<em>\1</em>"),
)

_REFERENCE = re.compile(
    r"\b(?P<kind>Tables?|Tab\.|Figures?|Figs?\.)\s?(?P<number>\d+)(?:\s?\(?(?P<part>[a-z])\b\)?)?"
)


def inline(text: str) -> Markup:
    """`code`, **strong** and *emphasised* words, backslash escapes, `&lt;` and `&amp;`.

    A lone star as in IS* stays a star.
    """
    html = _LITERAL.sub(_literal, str(escape(text.strip())))
    for pattern, replacement in _INLINE:
        html = pattern.sub(replacement, html)
    return Markup(html)


def _literal(found: re.Match[str]) -> str:
    """Literal text, in which no star has a meaning."""
    if found["code"]:
        return f"<code>{found['code'].replace('*', '&#42;')}</code>"
    if found["entity"]:
        return f"&{found['entity']};"
    mark = found["mark"]
    return mark if len(mark) > 1 else f"&#{ord(mark)};"


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


def blocks(text: str) -> Markup:
    """Paragraphs, `- ` or `1. ` lists and `#` headings (as strong lines)."""
    html = []
    for block in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in block.split("\n") if line.strip()]
        item = re.compile(r"(?:[-*]|\d+\.)\s+")
        if lines and item.match(lines[0]):
            entries: list[str] = []
            for line in lines:  # a line that starts no item continues the one above
                if item.match(line):
                    entries.append(item.sub("", line, count=1))
                else:
                    entries[-1] += " " + line
            tag = "ol" if lines[0][0].isdigit() else "ul"
            html.append(f"<{tag}>{''.join(f'<li>{inline(e)}</li>' for e in entries)}</{tag}>")
            continue
        heading = re.match(r"#+\s+(.*)", lines[0]) if lines else None
        if heading:
            html.append(f"<p><strong>{inline(heading[1])}</strong></p>")
            lines = lines[1:]
        if lines:
            html.append(f"<p>{inline(' '.join(lines))}</p>")
    return Markup("\n".join(html))
