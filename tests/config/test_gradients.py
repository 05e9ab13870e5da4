"""At which checkpoints gradients are measured."""

import shutil

import pytest

from pcpo.config import ConfigError, experiment_names, files, load_experiment
from pcpo.config.gradients import Gradients, measured_arms, measured_epochs, parts_of

SCALES = ("demo", "smoke", "pilot", "paper", "original", "study", "study50")


@pytest.mark.parametrize("scale", SCALES)
def test_the_scales_of_the_papers_study_measure_none(scale):
    for name in experiment_names():
        experiment = load_experiment(name, scale)
        assert experiment.gradients is None
        assert measured_arms(experiment) == measured_epochs(experiment) == []


@pytest.mark.parametrize(
    ("epochs", "every", "at", "measured"),
    [
        (24, 1, (0, 0.2, 1), [0, 5, 24]),
        (24, 8, (0, 0.2, 1), [0, 8, 24]),  # 4.8 is nearer to 8 than to 0
        (30, 7, (0, 0.5, 1), [0, 14, 30]),  # 30 is no multiple of 7: the last has a checkpoint
        (2, 1, (0, 1), [0, 2]),
    ],
)
def test_the_nearest_checkpoint_is_measured(epochs, every, at, measured):
    sizes = {"epochs": epochs, "checkpoint_every": every, "gradients": Gradients(at=at)}
    chosen = load_experiment(8, "smoke").model_copy(update=sizes)
    assert measured_epochs(chosen) == measured


def test_trained_arms_alone_are_measured():
    chosen = load_experiment(8, "smoke").model_copy(update={"gradients": Gradients()})
    assert chosen.arms == ("baseline", "pcpo")
    assert measured_arms(chosen) == ["baseline", "pcpo"]


@pytest.mark.parametrize(("images", "parts"), [(1, 1), (2, 2), (3, 1), (32, 2)])
def test_a_micro_batch_is_halved_where_it_can_be(images, parts):
    assert parts_of(images) == parts


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("{at: [0, 0.2, 1]}", r"gradients.at: .* epochs \[0, 0, 2\], one of them twice"),
        ("{at: [0.2, 1]}", "gradients.at: give rising numbers from 0"),
        ("{at: [0, 0.5]}", "gradients.at: give rising numbers from 0"),
        ("{at: [0, 1, 0.5]}", "gradients.at: give rising numbers from 0"),
        ("{at: []}", "gradients.at: give rising numbers from 0"),
        ("{at: [0, 1], arms: [pcop]}", "gradients: .*pcop"),
        ("{at: [0, 1], arms: []}", "gradients.arms: "),
        ("{every: 2}", "gradients.every: unknown key"),
    ],
)
def test_a_scale_that_is_wrong_is_named(tmp_path, monkeypatch, block, message):
    with pytest.raises(ConfigError, match=message):
        of_scale(tmp_path, monkeypatch, block)


def test_a_scale_may_measure_and_another_turn_it_off(tmp_path, monkeypatch):
    assert measured_epochs(of_scale(tmp_path, monkeypatch, "{at: [0, 1]}")) == [0, 2]
    own = tmp_path / "config" / "scale" / "off.yaml"
    own.write_text("extends: smoke\nnote: n\nexperiments: {08_flowgrpo_ocr: {gradients: null}}\n")
    assert load_experiment(8, "off").gradients is None


def of_scale(folder, monkeypatch, block):
    """Configuration 8 at scale smoke with these `gradients`."""
    shutil.copytree("config", folder / "config")
    monkeypatch.setattr(files, "CONFIG", folder / "config")
    scale = folder / "config" / "scale" / "smoke.yaml"
    text = scale.read_text()
    assert "\nall:\n" in text
    scale.write_text(text.replace("\nall:\n", f"\nall:\n  gradients: {block}\n"))
    return load_experiment(8, "smoke")
