"""Text of others in Markdown is shown as it is."""

import html
import re

import pytest

from pcpo.markdown import escaped, without_html
from pcpo.report.markup import inline
from tests.hostile_prompts import HOSTILE


@pytest.mark.parametrize("text", HOSTILE)
def test_the_page_shows_it(text):
    assert html.unescape(str(inline(f"“{escaped(text)}”"))) == f"“{text}”"
    assert "<" not in str(inline(f"Prompts “{escaped(text)}”."))


@pytest.mark.parametrize("text", HOSTILE)
def test_any_reader_of_markdown_shows_it(text):
    reader = pytest.importorskip("markdown_it").MarkdownIt("commonmark")
    reader.enable(["table", "strikethrough"])
    shown = reader.render(f"Prompts: “{escaped(text)}”.\n")
    assert html.unescape(shown) == f"<p>Prompts: “{text}”.</p>\n"
    cells = reader.render(f"| a | b |\n| --- | --- |\n| {escaped(text)} | x |\n")
    found = re.findall(r"<td>(.*?)</td>", cells, re.DOTALL)
    assert [html.unescape(cell) for cell in found] == [text.strip(), "x"]


def test_no_tag_and_no_entity_is_left():
    assert without_html("p < 0.05 & <b>x</b> <!--") == "p < 0.05 & &lt;b>x&lt;/b> &lt;!--"
    assert without_html("&lt; AT&T;") == "&amp;lt; AT&amp;T;"
    assert escaped("a\n|b") == r"a \|b"
    assert escaped("x_1 _a_ IS*") == r"x_1 \_a\_ IS\*"
