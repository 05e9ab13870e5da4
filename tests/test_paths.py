"""Where artefacts lie: each sampler of evaluation images has its own, beside what both share."""

import re
from dataclasses import fields

import pytest

from pcpo.paths import Paths

NATIVE, OWN = Paths("demo"), Paths("demo", sampler="own")
PATTERNS = [name for name, value in vars(Paths).items() if isinstance(value, property)]
# Neither a training nor the base model's images depend on how an arm's images are made.
SHARED = {
    *("root", "embeddings", "run", "manifest", "updates", "timesteps", "validation", "credit"),
    *("base_images", "base_index"),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_what_hangs_on_the_sampler_has_a_place_of_its_own(name):
    native, own = getattr(NATIVE, name), getattr(OWN, name)
    if name in SHARED:
        assert own == native
    else:
        assert own == native.replace("results/demo", "results/demo/own_sampler", 1)


def test_no_two_patterns_meet():
    """No file of one pattern can be one of another's, whatever stands for the wildcards."""
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
    for rule in ("train", "generate_base", "credit", "world_sd", "download", "plan"):
        assert OWN.log(rule) == NATIVE.log(rule)
        assert OWN.benchmark(rule) == NATIVE.benchmark(rule)


def test_an_archives_folder_stands_before_all():
    home = Paths("demo", home="unpacked/")
    assert [field.name for field in fields(Paths)] == ["scale", "home", "sampler"]
    assert home.selection == f"unpacked/{NATIVE.selection}"
