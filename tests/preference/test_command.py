"""The commands: a rehearsal from pairs to analysis, never counted as people."""

import numpy as np
import pytest

from pcpo.cli import preference, study_answers
from pcpo.preference.answers import Answers, Options
from pcpo.preference.frame import read_study
from pcpo.preference.schedule import Design
from pcpo.preference.simulate import Raters, rehearse
from pcpo.records import frame_file, frames
from tests.preference.conftest import make_study


def simulate(study, *options):
    preference.main(["simulate", "--pairs", str(study.pairs), "--key", str(study.keys),
                     "--answers", str(study.file), "--raters", "20", "--win-rate", "0.7",
                     "--questions", "8", *options])  # fmt: skip


def make_frame(study):
    study_answers.main(["--answers", str(study.file), "--keys", str(study.keys), "--scale", "demo",
                        "--frame", str(study.file.with_name("preference.parquet")),
                        "--analysis", str(study.file.with_name("analysis.md"))])  # fmt: skip


@pytest.fixture
def study(tmp_path):
    return make_study(tmp_path, prompts=12, images=4)


def test_a_rehearsal_is_analysed_and_says_that_it_is_none_of_people(study, capsys):
    simulate(study)
    assert "They do not count as people" in capsys.readouterr().out
    preference.main(["analyse", "--answers", str(study.file), "--key", str(study.keys)])
    page = capsys.readouterr().out
    assert page.startswith("# Preference study of 06_dancegrpo_flux_hps, scale demo: answers of "
                           "SIMULATED raters: these are not people\n")  # fmt: skip
    assert "bracket PCPO's reward" in page and "NOT bracket" not in page
    assert "20 raters, of whom 0 missed" in page
    found = read_study(study.file, study.keys)
    assert not found.people
    pairs = found.frame[found.frame["kind"] == "pair"]
    assert (pairs["preferred"] == "pcpo").mean() == pytest.approx(0.7, abs=0.1)


def test_the_frame_of_figures_and_claims_is_of_people_alone(study):
    simulate(study)
    with pytest.raises(ValueError, match="simulated raters, which never count as people"):
        make_frame(study)
    assert not study.file.with_name("preference.parquet").exists()
    with pytest.raises(ValueError, match="is there already"):
        simulate(study)


def test_simulated_raters_do_not_answer_for_people(study):
    store = Answers(study.file, study.pool, Options(Design(4, 0, 0)))
    with pytest.raises(ValueError, match="it is not for people"):
        rehearse(store, study.key, Raters(), 1)
    store.close()


def test_answers_of_people_become_the_frame(study, capsys):
    store = Answers(study.file, study.pool, Options(Design(4, 1, 0)))
    session = store.session(store.begin("phone"))
    while (question := store.question(session)) is not None:
        store.answer(session, question.token, dict.fromkeys(["overall", "quality", "alignment"],
                                                            "right"))  # fmt: skip
    make_frame(study)  # while the page is running
    store.close()
    assert "15 answers of 1 raters" in capsys.readouterr().out
    frame = frame_file.read(study.file.with_name("preference.parquet"), frames.PREFERENCE, "demo")
    assert len(frame) == 15 and set(frame["device"]) == {"phone"}
    assert "answers of people" in study.file.with_name("analysis.md").read_text()


def test_a_study_of_another_scale_is_refused(study):
    Answers(study.file, study.pool, Options()).close()
    with pytest.raises(ValueError, match="the pairs are of scale 'demo', where 'paper' is needed"):
        study_answers.main(["--answers", str(study.file), "--keys", str(study.keys),
                            "--scale", "paper", "--frame", "x", "--analysis", "y"])  # fmt: skip


def test_the_key_may_not_lie_beside_the_pairs(study):
    (key,) = study.keys.iterdir()
    key.rename(study.pairs / "key.json")
    with pytest.raises(ValueError, match="move the key away"):
        preference.main(["serve", "--pairs", str(study.pairs), "--answers", str(study.file),
                         "--contact", "Ann"])  # fmt: skip


def test_power_is_printed(capsys):
    preference.main(["simulate", "--raters", "10", "--win-rate", "0.5", "0.8", "--studies", "20"])
    head, null, effect = capsys.readouterr().out.splitlines()
    assert "interval above a half" in head
    assert float(effect.split()[2]) > float(null.split()[2])
    for options in (["--win-rate", "1.5"], ["--pairs", "x"], ["--questions", "0"]):
        with pytest.raises(ValueError, match="--win-rate|needs --pairs, --key|--questions"):
            preference.main(["simulate", "--studies", "2", *options])
    assert np.isfinite(float(effect.split()[5]))
