"""The study in the workflow: its pairs on request, its figure and claims once people answered."""

import numpy as np
import pandas as pd
import pytest

from pcpo.cli import claims, figure
from pcpo.config import load_experiment, load_scale
from pcpo.figures.registry import NO_ANSWERS
from pcpo.paths import Paths
from pcpo.preference.simulate import Raters, simulated_frame
from pcpo.records import frame_file, frames
from pcpo.report import collect
from pcpo.workflow.frames import frame_options
from pcpo.workflow.targets import Targets
from tests.preference.conftest import EXPERIMENT, make_study
from tests.system.pipeline import copy_sources, jobs, snakemake

P = Paths("smoke")
ASK = ("-n", "--config", "scale=smoke", f"experiments=[{EXPERIMENT}]", "--")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / P.study).mkdir(parents=True)
    return tmp_path


def targets(seeds=(0,)):
    return Targets(load_scale("smoke"), {EXPERIMENT: load_experiment(6, "smoke")}, seeds, P)


def test_the_pairs_are_of_every_training_seed():
    two = targets(seeds=(3, 5))
    experiment = two.experiments[EXPERIMENT]
    words = two.study_options(experiment)
    assert [words[place : place + 2] for place in (0, 5)] == [["--run", "3"], ["--run", "5"]]
    files = {word for word in words if "/" in word}
    needed = two.study_files(experiment)
    assert len(needed) == len(set(needed)) == 6
    for file in needed:
        assert file in files or file.removesuffix("/checkpoints.csv") in files


def test_figure_and_frame_are_there_once_people_answered(here):
    assert "figure4" not in targets().figures
    assert targets().all_frames()["preference"] == []
    (here / P.study_answers).touch()
    answered = targets()
    inputs = answered.figure_inputs(answered.figures["figure4"])
    assert inputs == {"preference": [P.preference]}
    assert frame_options(answered.all_frames())[-2:] == ["--preference", P.preference]


def test_an_archive_has_the_frame_and_not_the_answers(here):
    archived = Paths("smoke", home="unpacked/")
    assert not archived.answered()
    frame = here / archived.preference
    frame.parent.mkdir(parents=True)
    frame.touch()
    assert archived.answered()


def test_what_snakemake_plans(tmp_path):
    """The pairs where they are asked for; with answers the frame, and other pairs no more."""
    copy_sources(tmp_path)
    code, output = snakemake(tmp_path, *ASK, "study_pairs")
    assert code == 0, output
    planned = jobs(output)
    assert (planned["study_pairs"], planned["select"], planned["train"]) == (1, 1, 2)
    make_study(tmp_path / P.study).file.touch()
    code, output = snakemake(tmp_path, *ASK, "figure4", "study_pairs")
    assert code == 0, output
    planned = jobs(output)
    assert (planned["study_answers"], planned["figure4"]) == (1, 1)
    assert not {"train", "select"} & set(planned)
    assert "pcpo.cli.study_pairs" not in output


def test_the_pairs_ask_for_the_memory_of_their_model(tmp_path):
    copy_sources(tmp_path)
    real = ("-n", "--configfile", "config/paper.yaml", "--", "study_pairs")
    code, output = snakemake(tmp_path, *real)
    assert code == 0, output
    assert "mem_mb=64000" in output.partition("rule study_pairs:")[2]  # FLUX


def test_the_ledger_says_how_answers_are_collected_and_then_has_them(here):
    out = str(here / "claims")
    claims.main(["--scale", "smoke", "--out", out])
    ledger = pd.read_csv(here / "claims.csv").set_index("claim_id")
    for claim in ("human_preference", "human_preference_on_phones"):
        assert set(ledger.loc[claim, "verdict"]) == {"not run at this scale"}
        assert set(ledger.loc[claim, "why"]) == {NO_ANSWERS}
    assert "docs/preference.md" in (here / "claims.md").read_text()
    frame = simulated_frame(Raters(0.7), np.random.default_rng(0), raters=20)
    frame_file.write(frame, frames.PREFERENCE, here / "preference.parquet", "smoke")
    given = ["--preference", str(here / "preference.parquet")]
    claims.main(["--scale", "smoke", *given, "--out", out])
    ledger = pd.read_csv(here / "claims.csv").set_index("id")
    part = ledger.loc["human_preference-overall-lower_reward"]
    assert part["verdict"] == "one run"  # images of one training run per arm
    assert 0.5 < part["low"] < part["estimate"] < part["high"] < 1
    assert part["n"] == "200 answers of 20 raters on 45 prompts"
    assert ledger.loc["human_preference_on_phones-overall-lower_reward", "estimate"] > 0.5


def test_figure_4_has_its_caption(here):
    frame = simulated_frame(Raters(0.7), np.random.default_rng(0), raters=20)
    frame_file.write(frame, frames.PREFERENCE, here / "preference.parquet", "smoke")
    figure.main(["preference", "--scale", "smoke", "--figure", "figure4", "--experiments", "6",
                 "--arms", "baseline", "pcpo", "--preference", str(here / "preference.parquet"),
                 "--out", str(here / "figure4")])  # fmt: skip
    text = (here / "figure4.md").read_text()
    assert "The paper does not name its categories" in text
    assert "One training run per arm (seed 0)" in text


def test_the_report_says_that_figure_4_waits_for_people(here):
    page = collect(here / P.root, "smoke", [EXPERIMENT], [0])
    (missing,) = [piece for piece in page.missing if piece.name == "figure4"]
    assert missing.why == NO_ANSWERS
