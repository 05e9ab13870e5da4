"""Prompts in figures: no mathematics, a font that has the characters, or a box and a note."""

import warnings
from xml.etree import ElementTree

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from pcpo.figures import lettering as module
from pcpo.figures.lettering import BOX, lettering
from pcpo.figures.sample_grid import _wrapped, sample_grid
from pcpo.figures.style import save
from tests.hostile_prompts import HOSTILE

FAMILY = "AA Test Cats"


@pytest.fixture
def alone(monkeypatch):
    """No font but matplotlib's own, whatever this machine has."""
    monkeypatch.setattr(module, "_installed", lambda: iter(()))


@pytest.fixture
def cats(tmp_path, monkeypatch):
    """A font with one square sign, 猫, installed for the test."""
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for point in ((100, 800), (900, 800), (900, 0)):
        pen.lineTo(point)
    pen.closePath()
    empty = TTGlyphPen(None).glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "cat"])
    builder.setupCharacterMap({ord("猫"): "cat"})
    builder.setupGlyf({".notdef": empty, "cat": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "cat": (1000, 100)})
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": FAMILY, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "cats.ttf")
    manager = font_manager.fontManager
    monkeypatch.setattr(manager, "ttflist", [*manager.ttflist])
    manager.addfont(str(tmp_path / "cats.ttf"))
    module._characters.cache_clear()
    monkeypatch.setattr(module, "_installed", lambda: iter([FAMILY]))
    yield
    module._characters.cache_clear()


def grid(prompts):
    return sample_grid({"A": np.zeros((len(prompts), 3, 4, 4), np.uint8)}, prompts, columns=12)


def test_any_prompt_is_drawn_without_a_warning(alone, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files = save(grid(HOSTILE), tmp_path / "x")
    assert all(file.stat().st_size > 1000 for file in files)
    ElementTree.parse(tmp_path / "x.svg")  # XML has no control characters


def test_a_dollar_is_a_dollar(alone):
    prompts = ["$_$", "a $5 note and a $10 note"]
    titles = [axes.title for axes in grid(prompts).axes]
    assert [title.get_text().replace("\n", " ") for title in titles] == prompts
    assert not any(title.get_parse_math() for title in titles)


def test_a_character_without_a_font_is_a_box_and_is_named(alone):
    letters = lettering(["a 猫 \x1b", "猫\ufeff"])
    assert letters.drawn("a 猫\ufeff") == f"a {BOX}"
    assert letters.remark().endswith("no installed font has: U+001B, U+732B")
    assert lettering(["é $ قطة"]).remark() == ""
    many = lettering([chr(0x4E00 + i) for i in range(20)]).remark()
    assert many.endswith("U+4E0B and 8 more")


def test_an_installed_font_is_found(cats, tmp_path):
    prompts = ["猫 cat", "犬 dog"]
    letters = lettering(prompts)
    assert letters.families == ("DejaVu Sans", FAMILY)
    assert letters.missing == {"犬"}
    figure = grid(prompts)
    assert figure.axes[0].get_title() == "猫 cat"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(figure, tmp_path / "x")


def test_words_without_blanks_are_wrapped():
    lines = _wrapped("猫" * 40).split("\n")
    assert [len(line) for line in lines] == [11, 11, 11, 7]
    assert _wrapped("a" * 50).split("\n") == ["a" * 22, "a" * 22, "a" * 6]
    assert _wrapped("a cat " + "b" * 22) == "a cat\n" + "b" * 22
