"""Where artefacts lie: each sampler of evaluation images has its own, beside what both share."""

import csv
import re
from dataclasses import fields
from string import ascii_lowercase

import pytest

from pcpo.config.files import CONFIG
from pcpo.figures.registry import FIGURES, NOT_DRAWN
from pcpo.paths import Paths

NATIVE, OWN = Paths("demo"), Paths("demo", sampler="own")
PATTERNS = [name for name, value in vars(Paths).items() if isinstance(value, property)]
# Neither a training nor the base model's images depend on how an arm's images are made.
SHARED = {
    *("root", "embeddings", "run", "manifest", "updates", "timesteps", "validation", "credit"),
    "gradients",
    *("readings", "base_images", "base_index", "reward_guidance", "guided_images", "guided_index"),
    *("study", "study_pairs", "study_keys", "study_answers", "study_analysis", "preference"),
    *("pictures", "picture_file"),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_what_hangs_on_the_sampler_has_a_place_of_its_own(name):
    native, own = getattr(NATIVE, name), getattr(OWN, name)
    if name in SHARED:
        assert own == native
    else:
        assert own == native.replace("results/demo", "results/demo/own_sampler", 1)


def test_no_two_patterns_meet():
    """No file of one pattern can be one of another's, whatever the wildcards are."""
    files = [n for n in PATTERNS if re.search(r"\.(csv|parquet|html|zip)$", getattr(OWN, n))]
    shown = {getattr(p, n) for p in (NATIVE, OWN) for n in files}
    assert len(shown) == 2 * len(files) - len(SHARED & set(files))
    for pattern in shown:
        anything = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(pattern))
        assert [other for other in shown if re.fullmatch(anything, other)] == [pattern]


def test_records_lie_with_the_outputs_of_their_rule():
    for rule in ("select", "generate", "evaluate", "align", "table", "claims", "report", "figure3"):
        assert OWN.log(rule) == f"results/demo/own_sampler/logs/{rule}/log.log"
        assert OWN.benchmark(rule, "seed").startswith("results/demo/own_sampler/benchmarks/")
    for rule in ("train", "generate_base", "credit", "synthetic_sd", "download", "plan"):
        assert OWN.log(rule) == NATIVE.log(rule)
        assert OWN.benchmark(rule) == NATIVE.benchmark(rule)


def test_an_archives_folder_comes_before_all():
    home = Paths("demo", home="unpacked/")
    assert [field.name for field in fields(Paths)] == ["scale", "home", "sampler"]
    assert home.selection == f"unpacked/{NATIVE.selection}"


# --- the paper's figures -----------------------------------------------------------------------

LAST_FIGURE = 20
ACCOUNTED = {*FIGURES, *NOT_DRAWN}


def parts(number):
    """Letters of the parts in which a figure is drawn here, or named as not drawn."""
    found = (re.fullmatch(rf"figure{number}([a-z])", name) for name in ACCOUNTED)
    return sorted(match[1] for match in found if match)


@pytest.mark.parametrize("number", range(1, LAST_FIGURE + 1))
def test_every_figure_of_the_paper_is_drawn_or_named(number):
    letters = parts(number)
    assert letters or f"figure{number}" in ACCOUNTED
    assert letters == list(ascii_lowercase[: len(letters)])  # no panel between two is forgotten


def test_nothing_is_both_and_there_are_no_other_figures():
    assert not {*FIGURES} & {*NOT_DRAWN}
    numbers = {int(m[1]) for name in ACCOUNTED if (m := re.match(r"figure(\d+)", name))}
    assert numbers == set(range(1, LAST_FIGURE + 1))
    assert all(why and not why.endswith(".") for why in NOT_DRAWN.values())


def test_panels_that_table_6_gives_a_configuration_are_drawn():
    """Of figures in parts: 7(a, b) of configuration 1, 7(d) of 10; 7(c) and 8 have none."""
    with (CONFIG / "paper" / "table6.csv").open(newline="") as handle:
        listed = {int(row["number"]): row["figures"] for row in csv.DictReader(handle)}
    panels, mentioned = set(), set()
    for number, text in listed.items():
        for figure, letters in re.findall(r"(\d+)(?:\(([a-z, ]+)\))?", text):
            mentioned.add(int(figure))
            panels |= {(number, figure, letter) for letter in re.findall("[a-z]", letters)}
    for number, figure, letter in panels:
        if parts(figure):
            assert number in FIGURES[f"figure{figure}{letter}"].experiments
    assert ("7", "c") not in {panel[1:] for panel in panels}
    assert 8 not in mentioned
