"""The command that draws an experiment's training in pictures."""

import sys

import numpy as np
import pytest
from PIL import Image

from pcpo.cli import pictures
from pcpo.figures.training_in_pictures import training_in_pictures
from pcpo.records import strips

RED, BLUE = ((255, 0, 0), (0, 0, 255))


def strip(*colours):
    images = np.ones((len(colours), 3, 8, 8)) * np.array(colours)[:, :, None, None]
    return images.astype(np.uint8)


@pytest.fixture
def command(tmp_path, monkeypatch):
    def draw():
        arms = [word for arm in ("baseline", "pcpo") for word in ("--arm", arm, tmp_path / arm)]
        out = ["--scale", "demo", "--out", tmp_path / "picture"]
        monkeypatch.setattr(sys, "argv", ["pictures", "2", *map(str, [*arms, *out])])
        pictures.main()
        return (tmp_path / "picture.md").read_text()

    return draw


def test_each_prompt_has_a_row_for_each_arm_and_a_column_for_each_epoch(tmp_path):
    for arm, epochs in {"baseline": (0, 8), "pcpo": (0,)}.items():
        for epoch in epochs:
            strips.write(tmp_path / arm, epoch, ["a", "b"], strip(RED, BLUE))
    runs = {arm: strips.read(tmp_path / arm) for arm in ("baseline", "pcpo")}
    figure = training_in_pictures(runs)
    shown = np.array([bool(panel.images) for panel in figure.axes]).reshape(4, 2)
    assert shown.tolist() == [[True, True], [True, False]] * 2
    assert [panel.get_title() for panel in figure.axes[:2]] == ["epoch 0", "epoch 8"]
    colours = [panel.images[0].get_array()[0, 0].tolist() for panel in figure.axes[::2]]
    assert colours == [[*RED], [*RED], [*BLUE], [*BLUE]]


def test_the_caption_has_the_prompts_and_names_what_is_missing(command, tmp_path):
    for arm, epochs in {"baseline": (0, 8), "pcpo": (0,)}.items():
        for epoch in epochs:
            strips.write(tmp_path / arm, epoch, ["a <b>*"], strip(RED))
    text = command()
    assert "Prompts: 1 “a &lt;b>\\*”." in text
    assert "Previews are missing of PCPO." in text
    assert "Configuration 2, " in text and "demo scale" in text
    with Image.open(tmp_path / "picture.png") as image:
        assert image.width > 100


def test_runs_without_previews_get_a_figure_that_says_so(command):
    assert "Its runs have no previews" in command()
