from types import SimpleNamespace

import pytest

from pcpo.figures.captions import caption
from pcpo.figures.kinds import KINDS
from pcpo.figures.registry import FIGURES
from tests import fabricated


@pytest.mark.parametrize("name", [*FIGURES, *KINDS])
def test_every_figure_and_kind_has_a_caption(name):
    text = caption(name).to_markdown().removesuffix("\n")
    assert text.startswith("**")
    assert text.endswith(".")
    assert "{" not in text
    assert "\n" not in text


def test_a_caption_says_what_how_and_over_which_seeds():
    made = caption("figure3", fabricated.experiments((2, 6)), seeds=[0, 1], remarks=["A remark"],
                   note="a note")  # fmt: skip
    text = made.text
    assert (made.figure, made.heading) == ("Figure 3, ours", "Training reward and clip fraction.")
    assert made.to_markdown() == f"**Figure 3, ours: Training reward and clip fraction.** {text}\n"
    assert "Moving average of 5 epochs." in text
    assert "(a) 2, DDPO (SD1.5), Aesthetics; (b) 6, DanceGRPO (FLUX), HPSv2.1." in text
    assert "means over the training seeds 0, 1, bands run from the lowest" in text
    assert text.endswith("A remark. A note.")
    assert "One training run per arm (seed 7)" in caption("figure3", seeds=[7]).text


def test_figure_5_says_how_its_validation_was_sampled():
    longer = SimpleNamespace(sampler="deterministic", steps=40)
    shorter = SimpleNamespace(sampler="native", steps=8)
    one, two = (
        fabricated.experiment(5, validation=longer),
        fabricated.experiment(6, validation=longer),
    )
    assert (
        "Validation images are sampled without noise in 40 steps (configuration 5, 6)."
    ) in caption("figure5", [one, two]).text
    other = fabricated.experiment(6, validation=shorter)
    assert (
        "sampled without noise in 40 steps (configuration 5); with the training's noise in 8 steps "
        "(configuration 6)."
    ) in caption("figure5", [one, other]).text


def test_the_caption_of_a_figure_that_the_paper_does_not_have_notes_it():
    assert "This figure is not in the paper." in caption("curves_7_to_10").text
    assert "not in the paper" not in caption("figure1a").text
    assert caption("figure1a").figure == "Figure 1(a), ours"


def test_the_error_of_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"no figure is called 'figure99'; known: figure1a, .*"):
        caption("figure99")
