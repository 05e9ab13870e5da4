"""The store: nothing confirmed is lost, nothing is stored twice, nothing personal is stored."""

import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from pcpo.preference.answers import Answers, Options, Refused, read_answers
from pcpo.preference.frame import read_study
from pcpo.preference.questions import QUESTIONS
from pcpo.preference.schedule import Design
from pcpo.records import frame_file, frames
from tests.preference.conftest import Rater, make_study

LEFT = dict.fromkeys(QUESTIONS, "left")
SHORT = Options(Design(pairs=6, checks=1, repeats=1))


@pytest.fixture
def answers(study):
    store = Answers(study.file, study.pool, SHORT, chance=random.Random(0))
    yield store
    store.close()


@pytest.fixture
def session(answers):
    return answers.session(answers.begin("phone"))


def test_a_question_stays_until_it_is_answered(answers, session):
    first = answers.question(session)
    assert answers.question(session) == first
    answers.answer(session, first.token, LEFT)
    second = answers.question(session)
    assert second.position == 2 and second.total == 8
    assert not {first.token, first.left, first.right} & {second.token, second.left, second.right}


def test_a_session_ends_after_all_its_questions(answers, session):
    count = 0
    while (question := answers.question(session)) is not None:
        answers.answer(session, question.token, LEFT)
        count += 1
    assert count == 8
    assert answers.progress() == (1, 8)


def test_what_was_chosen_becomes_whose_image_it_was(study, answers, session):
    """Over a whole session, against the key and the images themselves."""
    expected = {}
    while (question := answers.question(session)) is not None:
        pair, first_on_left = answers.asked(session, question.token)
        pair = next(p for p in study.pool.pairs if p.id == pair)
        left = answers.image(session, question.left)
        assert left == (pair.first if first_on_left else pair.second)
        assert answers.image(session, question.right) == (
            pair.second if first_on_left else pair.first
        )
        whose = study.key.pairs[pair.id]
        other = {"pcpo": "baseline", "baseline": "pcpo", "intact": "damaged", "damaged": "intact"}
        expected[question.position] = whose.first if first_on_left else other[whose.first]
        answers.answer(session, question.token, LEFT)
    frame = read_study(study.file, study.keys).frame
    frame_file.check(frame, frames.PREFERENCE, "frame")
    assert len(frame) == 8 * len(QUESTIONS)
    for row in frame.itertuples():
        assert row.preferred == expected[row.position]
        wanted = row.preferred in ("pcpo", "intact")
        assert row.side == ("left" if wanted else "right")
        assert row.device == "phone" and row.seconds >= 0
    pairs = frame[frame["kind"] == "pair"]
    assert set(pairs["pcpo_epoch"]) == {12} and set(pairs["baseline_epoch"]) == {18, 24}


def test_a_tie_is_taken_only_where_ties_are_offered(study, tmp_path, answers, session):
    tie = LEFT | {"overall": "tie"}
    with pytest.raises(Refused, match="'tie' is none of left, right"):
        answers.answer(session, answers.question(session).token, tie)
    other = Answers(tmp_path / "ties.sqlite", study.pool, Options(Design(2, 0, 0), ties=True))
    rater = other.session(other.begin("tablet"))
    other.answer(rater, other.question(rater).token, tie)
    other.close()
    frame = read_study(tmp_path / "ties.sqlite", study.keys).frame
    assert dict(zip(frame["category"], frame["preferred"], strict=True))["overall"] == "tie"


@pytest.mark.parametrize(
    ("choices", "status"),
    [
        ({}, 422),
        ({"overall": "left"}, 422),
        (LEFT | {"beauty": "left"}, 422),
        (LEFT | {"quality": "pcpo"}, 422),
    ],
)
def test_incomplete_and_unknown_answers_are_refused(answers, session, choices, status):
    with pytest.raises(Refused) as refused:
        answers.answer(session, answers.question(session).token, choices)
    assert refused.value.status == status
    assert answers.progress() == (0, 0)


def test_an_answer_is_taken_once(study, answers, session):
    token = answers.question(session).token
    answers.answer(session, token, LEFT)
    answers.answer(session, token, LEFT)  # sent again after a lost connection
    with pytest.raises(Refused) as refused:
        answers.answer(session, token, LEFT | {"quality": "right"})
    assert refused.value.status == 409
    assert len(read_answers(study.file)[1]) == len(QUESTIONS)


def test_questions_and_images_belong_to_one_session(answers, session):
    other = answers.session(answers.begin("desktop"))
    question = answers.question(session)
    assert answers.image(other, question.left) is None
    with pytest.raises(Refused) as refused:
        answers.answer(other, question.token, LEFT)
    assert refused.value.status == 404


def test_a_withdrawn_session_leaves_nothing(study, answers, session):
    token = answers.question(session).token
    answers.answer(session, token, LEFT)
    answers.question(session)
    answers.withdraw(session)
    base = sqlite3.connect(study.file)
    for table in ("session", "question", "answer"):
        assert base.execute(f"SELECT COUNT(*) FROM {table}").fetchone() == (0,)
    base.close()
    with pytest.raises(Refused):
        answers.question(session)


def test_a_study_keeps_its_pairs_and_options(study, tmp_path):
    Answers(study.file, study.pool, SHORT).close()
    with pytest.raises(ValueError, match="ties: the study was begun with 'False'"):
        Answers(study.file, study.pool, Options(SHORT.design, ties=True))
    with pytest.raises(ValueError, match="origin: .*begun with 'people', not with 'simulated'"):
        Answers(study.file, study.pool, Options(SHORT.design, origin="simulated"))
    with pytest.raises(ValueError, match="pool: the study was begun with"):
        Answers(study.file, make_study(tmp_path / "other").pool, SHORT)


def test_a_file_that_is_no_store_is_refused_and_kept(study):
    study.file.write_text("these are notes, not a database, and they are long enough " * 20)
    before = study.file.read_bytes()
    with pytest.raises(ValueError, match="cannot be used as a store of answers"):
        Answers(study.file, study.pool, SHORT)
    with pytest.raises(ValueError, match="cannot be read as a store of answers"):
        read_answers(study.file)
    assert study.file.read_bytes() == before


def test_nothing_personal_and_no_token_is_stored(study, answers):
    token = answers.begin("phone")
    session = answers.session(token)
    answers.answer(session, answers.question(session).token, LEFT)
    base = sqlite3.connect(study.file)
    columns = {
        table: [row[1] for row in base.execute(f"PRAGMA table_info({table})")]
        for (table,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    base.close()
    assert columns == {
        "study": ["name", "value"],
        "session": ["id", "token", "device", "kinds"],
        "question": ["id", "session", "position", "kind", "pair", "flipped", "token", "left_image",
                     "right_image", "asked", "answered"],
        "answer": ["question", "category", "choice"],
    }  # fmt: skip
    stored = b"".join(path.read_bytes() for path in study.file.parent.glob("answers.sqlite*"))
    assert token.encode() not in stored


def test_answers_survive_kill_9(study):
    """Each answer that the page confirmed is there after SIGKILL, and the session goes on."""
    command = [sys.executable, "-m", "pcpo.cli.preference", "serve", "--pairs", study.pairs,
               "--answers", study.file, "--contact", "Ann", "--no-tls", "--port", "0",
               "--questions", "6", "--checks", "1"]  # fmt: skip
    cookie, confirmed = None, []
    for _ in range(3):
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            line = process.stdout.readline()
            port = int(re.match(r"http://127\.0\.0\.1:(\d+) ", line)[1])
            rater = Rater(port, device=None)
            deadline = time.monotonic() + 20
            while True:
                try:
                    if cookie is None:
                        rater.begin("phone")
                        cookie = rater.cookie
                    rater.cookie = cookie
                    question = rater.question()
                    break
                except ConnectionError:
                    assert time.monotonic() < deadline
                    rater = Rater(port, device=None)
                    time.sleep(0.02)
            for _ in range(2):
                token = question["question"]
                question = rater.answer(token, LEFT).json()
                confirmed.append(token)
            os.kill(process.pid, signal.SIGKILL)
        finally:
            process.kill()
            process.communicate()
    base = sqlite3.connect(study.file)
    there = {token for (token,) in base.execute(
        "SELECT token FROM question WHERE answered IS NOT NULL")}  # fmt: skip
    assert there == set(confirmed) and len(confirmed) == 6
    assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert base.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    base.close()
