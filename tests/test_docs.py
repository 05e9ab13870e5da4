"""The pages lead somewhere, and the citation is of this version."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from pcpo.claims.claim import read_claims
from pcpo.config import load_experiment
from pcpo.config.settings import chosen_experiments
from pcpo.figures.registry import FIGURES, NOT_DRAWN
from pcpo.tables import TABLES

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# What the examples of extend.md add.
ADDED = set(re.findall(r"New file `([^`]+)`", (ROOT / "docs/extend.md").read_text()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_are_there(page):
    folders = "pcpo|config|tests|envs|rules|docs|profiles"
    named = re.findall(rf"`((?:{folders})/[\w./-]+)`", page.read_text())
    gone = [n for n in named if not (ROOT / n).exists() and n not in ADDED]
    assert gone == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_and_figures_that_a_page_asks_for_exist(page):
    asked = set(re.findall(r"snakemake [^\n]*?\b((?:table|figure)\d+\w*)", page.read_text()))
    assert asked <= {*TABLES, *FIGURES}


def test_the_page_on_results_lists_the_figures_that_are_not_drawn():
    page = (ROOT / "docs" / "results.md").read_text()
    section = page.split("## Figures of the paper that are not drawn")[1].split("\n## ")[0]
    named = re.findall(r"\b\d+[a-z]?\b", section.replace("Table 6", ""))
    assert named == [name.removeprefix("figure") for name in NOT_DRAWN]


def test_the_readme_names_the_figures_that_are_not_drawn():
    (named,) = re.findall(r"without\s+([\w, ]+) \(docs/results", (ROOT / "README.md").read_text())
    assert named.split(", ") == [name.removeprefix("figure") for name in NOT_DRAWN]


def test_the_page_on_the_study_has_every_primary_claim_every_question_and_every_margin():
    """What is judged is written down before the runs: the page and the files that judge agree."""
    page = (ROOT / "docs" / "study.md").read_text()
    parts = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", page, re.M))
    primary, questions = (
        set(re.findall(r"^\| `(\w+)` \|", parts[title], re.M))
        for title in ("Primary claims", "Our own questions")
    )
    claims = read_claims(ROOT / "config" / "claims.yaml")
    assert primary == {claim.id for claim in claims if claim.primary}
    margins = dict(re.findall(r"`(\w+)`\s([\d.]+) %", parts["Secondary claims"]))
    bounded = {claim.id: claim.relative_margin for claim in claims if claim.relative_margin}
    assert margins == {name: f"{100 * margin:.2g}" for name, margin in bounded.items()}
    assert questions == {claim.id for claim in read_claims(ROOT / "config" / "questions.yaml")}
    trainings = [_trainings(name) for name in ("study", "study50")]
    assert f"| trainings | {trainings[0]} | {trainings[1]} |" in page


def test_the_page_on_the_second_study_has_every_question_and_the_scale_trains_its_arms():
    page = (ROOT / "docs" / "study-2.md").read_text()
    questions = read_claims(ROOT / "config" / "questions2.yaml")
    assert [q.id for q in questions if f"`{q.id}`" not in page] == []
    for part in (part for question in questions for part in question.parts()):
        options = part.options
        arms = {*options.get("arms", ()), *options.get("beside", ())}
        arms |= {options["arm"]} if "arm" in options else set()
        for number in part.configurations:
            assert arms <= set(load_experiment(number, "study2").arms), part.id


def _trainings(settings):
    """How many runs a file of settings asks for."""
    asked = yaml.safe_load((ROOT / "config" / f"{settings}.yaml").read_text())
    chosen = [
        load_experiment(n, asked["scale"])
        for n in chosen_experiments(asked["experiments"], asked["scale"])
    ]
    return sum(len(e.arms) * len(e.training_seeds(asked["seeds"])) for e in chosen)


def test_every_line_of_the_page_on_safety_names_a_test():
    text = (ROOT / "docs" / "safety.md").read_text()
    lines = re.findall(r"^\| (?!what |:--)(.+) \|$", text, re.M)
    assert len(lines) > 10
    for line in lines:
        last = line.rpartition(" | ")[2]
        named = re.fullmatch(r"`(tests/[\w/]+\.py)::(test_\w+)`", last)
        assert named or last == "the same", line
        if named:
            assert f"def {named[2]}(" in (ROOT / named[1]).read_text(), last


def test_every_page_is_short_enough_to_be_read():
    for page in PAGES:
        prose = re.sub(r"^```\w+\n.*?^```$", "", page.read_text(), flags=re.M | re.S)
        assert len(prose.splitlines()) <= 170, page.name


def test_the_citation_is_of_this_version_and_names_the_paper():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert citation["version"] == project["version"]
    assert citation["license"] == "MIT"
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")
    assert citation["references"][0]["url"] == "https://arxiv.org/abs/2509.25774"
