import base64

import pytest
from PIL import Image

from pcpo.report.figures import read_figure, title


@pytest.fixture
def root(tmp_path):
    (tmp_path / "figures").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "figures" / "figure3.png")
    return tmp_path


def test_the_picture_is_in_the_page_and_its_caption_beside_it(root):
    (root / "figures" / "figure3.md").write_text("The **reward** rises. More.\n")
    figure = read_figure("figure3", root)
    head, data = figure.source.split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == (root / "figures" / "figure3.png").read_bytes()
    assert (figure.width, figure.height) == (40, 30)
    assert (figure.heading, figure.caption) == ("", "The **reward** rises. More.")
    assert figure.alternative == "The reward rises."
    assert [file.name for file in figure.files] == ["figures/figure3.png", "figures/figure3.md"]


def test_words_in_bold_at_the_start_are_the_heading(root):
    text = "**Figure 3, ours: Reward (top).** The *lines* rise."
    (root / "figures" / "figure3.md").write_text(text)
    figure = read_figure("figure3", root)
    assert (figure.title, figure.heading) == ("Figure 3", "Reward (top).")
    assert figure.caption == "The *lines* rise."
    assert figure.alternative == "Reward (top)."


def test_without_a_caption_the_title_stands_for_the_picture(root):
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
