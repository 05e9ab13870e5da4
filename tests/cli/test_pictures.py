"""The command that draws an experiment's training in pictures."""

import numpy as np
import pytest
from PIL import Image

from pcpo.cli import pictures
from pcpo.config import load_experiment
from pcpo.figures.training_in_pictures import MOST_PROMPTS, training_in_pictures
from pcpo.records import strips
from pcpo.records.caption import Caption
from pcpo.records.values import read_json

RED, BLUE = ((255, 0, 0), (0, 0, 255))


def strip(*colours):
    images = np.ones((len(colours), 3, 8, 8)) * np.array(colours)[:, :, None, None]
    return images.astype(np.uint8)


@pytest.fixture
def command(tmp_path):
    def draw():
        arms = [word for arm in ("baseline", "pcpo") for word in ("--arm", arm, tmp_path / arm)]
        out = ["--scale", "demo", "--out", tmp_path / "picture"]
        pictures.main(["2", *map(str, [*arms, *out])])
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
    assert read_json(tmp_path / "picture.json", Caption).to_markdown() == text


def test_of_many_prompts_the_first_are_shown(tmp_path):
    texts = [f"prompt {n}" for n in range(MOST_PROMPTS + 1)]
    strips.write(tmp_path, 0, texts, strip(*[RED] * len(texts)))
    figure = training_in_pictures({"pcpo": strips.read(tmp_path)})
    assert len(figure.axes) == MOST_PROMPTS
    assert (
        pictures.caption(load_experiment(2), 0, {"pcpo": strips.read(tmp_path)}, "").text.count(
            "“prompt"
        )
        == MOST_PROMPTS
    )


def test_runs_without_previews_get_a_figure_that_says_so(command):
    assert "Its runs have no previews" in command()
