import pytest

from pcpo.report.markup import inline, linked


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ('a < b & "c"', "a &lt; b &amp; &quot;c&quot;"),
        ("**bold** and *lean*", "<strong>bold</strong> and <em>lean</em>"),
        ("IS* is lower, IS* again", "IS* is lower, IS* again"),
        ("value ~ algorithm * batch * prompt", "value ~ algorithm * batch * prompt"),
        ("`**not bold** <i>`", "<code>**not bold** &lt;i&gt;</code>"),
    ],
)
def test_inline(text, html):
    assert inline(text) == html


def test_a_text_makes_no_link_picture_or_element():
    text = "[a](https://x) ![b](data:c) <https://x> <b>d</b> https://x"
    assert inline(text) == text.replace("<", "&lt;").replace(">", "&gt;")


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("Table 1", "table1"),
        ("Table 10", "table10"),
        ("Table 2(b)", "table2b"),
        ("Table 2", "table2a"),
        ("Fig. 3", "figure3"),
        ("Figure 3(a)", "figure3"),
    ],
)
def test_references_lead_to_what_the_page_has(text, target):
    anchors = ["table1", "table2a", "table2b", "table10", "figure3"]
    assert linked(f"See {text}.", anchors) == f'See <a href="#{target}">{text}</a>.'


def test_references_to_what_it_has_not_stay_text():
    assert (
        linked("Table 4, Fig. 30, tables 1", ["table10", "figure3"]) == "Table 4, Fig. 30, tables 1"
    )
