import base64

import pytest
from PIL import Image

from pcpo.records.caption import Caption
from pcpo.records.values import to_json
from pcpo.report.figures import read_figure, title


@pytest.fixture
def root(tmp_path):
    (tmp_path / "figures").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "figures" / "figure3.png")
    return tmp_path


def say(root, *parts):
    path = root / "figures" / "figure3.json"
    path.write_text(to_json(Caption(*parts)))
    return path


def test_the_picture_is_in_the_page_and_its_caption_beside_it(root):
    say(root, "Figure 3, ours", "Reward (top).", "The *lines* rise. More.")
    (root / "figures" / "figure3.md").write_text("for a reader\n")
    figure = read_figure("figure3", root)
    head, data = figure.source.split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == (root / "figures" / "figure3.png").read_bytes()
    assert (figure.width, figure.height) == (40, 30)
    assert (figure.title, figure.heading) == ("Figure 3", "Reward (top).")
    assert figure.caption == "The *lines* rise. More."
    assert figure.alternative == "Reward (top)."
    assert [file.name for file in figure.files] == ["figures/figure3.png", "figures/figure3.md"]


def test_without_a_heading_the_first_sentence_is_the_alternative(root):
    say(root, "", "", "The **reward** rises. More.")
    assert read_figure("figure3", root).alternative == "The reward rises."


@pytest.mark.parametrize("damage", ["", "{}", "[1]", '{"figure": "", "heading": 1, "text": ""}'])
def test_a_damaged_caption_is_named(root, damage):
    say(root, "", "", "").write_text(damage)
    with pytest.raises(ValueError, match=r"figure3\.json: .*make it again"):
        read_figure("figure3", root)


def test_without_a_caption_the_title_describes_the_picture(root):
    assert read_figure("figure3", root).alternative == "Figure 3"
    assert title("samples_ocr") == "Samples ocr"


def test_a_figure_that_was_not_drawn(root):
    assert read_figure("figure6", root) is None


@pytest.mark.parametrize("damage", [lambda d: d[:-20], lambda d: b"GIF89a" + d, lambda d: b""])
def test_what_is_no_whole_png_is_refused_by_name(root, damage):
    path = root / "figures" / "figure3.png"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"figure3\.png: not a whole PNG"):
        read_figure("figure3", root)
