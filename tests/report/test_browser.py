"""The page in a real browser, with no network: complete, silent, readable on a phone."""

import pytest

from pcpo.report import collect, render
from tests.report.browser import CHROMIUM, Browser

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]


@pytest.fixture
def address(results):
    out = results.root / "report.html"
    out.write_text(render(collect(results.root, "demo", results.experiments, [0])))
    return out.as_uri()


@pytest.fixture
def browser(tmp_path):
    with Browser(tmp_path / "profile") as started:
        yield started


def test_it_is_whole_silent_and_asks_for_nothing(browser, address):
    browser.open(address)
    assert browser.value("document.querySelectorAll('#table1 table.pair tbody tr').length") == 4
    assert browser.value("document.querySelectorAll('#table9 table.pair').length") == 1
    assert browser.value("document.querySelectorAll('.claims > li').length") == 2
    assert browser.value("document.querySelectorAll('figure img').length") == 2
    drawn = "[...document.images].every(i => i.complete && i.naturalWidth === 300)"
    assert browser.value(drawn)
    assert browser.value("document.scripts.length") == 0
    assert browser.messages == []
    assert [r for r in browser.requests if not r.startswith("data:")] == [address]


@pytest.mark.parametrize("width", [1280, 390, 320])
def test_only_tables_scroll_sideways(browser, address, width):
    browser.open(address, width=width, height=800)
    browser.value("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.value("document.documentElement.scrollWidth") <= width
    text = "getComputedStyle(document.querySelector('.claims .says')).fontSize"
    assert float(browser.value(text).removesuffix("px")) >= 16


@pytest.mark.parametrize("dark", [False, True])
def test_text_and_marks_stand_out_from_their_ground(browser, address, dark):
    """WCAG AA: a contrast of 4.5 for text, in the light and in the dark."""
    browser.open(address, dark=dark)
    pairs = {"body": "body", ".soft": "body", ".claims a": "body"}
    pairs |= {".verdict.holds": ".verdict.holds", ".verdict.not": "body"}
    pairs |= {".verdict.fails": ".verdict.fails", ".pair .ours": ".pair .ours", ".note": ".note"}
    pairs |= {".pair td.paper": ".scroll"}
    for text, ground in pairs.items():
        colours = [
            browser.value(f"getComputedStyle(document.querySelector('{where}')).{what}")
            for where, what in ((text, "color"), (ground, "backgroundColor"))
        ]
        assert contrast(*map(luminance, colours)) >= 4.5, (text, colours)


def test_the_dark_page_is_dark_and_prints_with_all_its_folds_open(browser, address, tmp_path):
    browser.open(address, dark=True)
    ground = "getComputedStyle(document.body).backgroundColor"
    assert luminance(browser.value(ground)) < 0.05
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert luminance(browser.value(ground)) == 1
    browser.print(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def luminance(colour):
    """Relative luminance (WCAG 2.2) of `rgb(r, g, b)`."""
    channels = [int(c) / 255 for c in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)
