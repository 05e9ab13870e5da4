import math

import pytest

from pcpo.claims.estimate import Estimate
from pcpo.claims.verdict import CELL_VERDICTS, LEDGER_VERDICTS, at_reward, decide, overall, short
from pcpo.tables.matching import MATCHED, Match

BAND = (1.0, 2.0)


@pytest.mark.parametrize(
    ("direction", "found", "word", "because"),
    [
        ("higher", Estimate(1.0, 0.1, 2.0), "holds", ""),
        ("higher", Estimate(-1.0, -2.0, -0.1), "fails", ""),
        ("higher", Estimate(1.0, -0.1, 2.0), "undecided", "the interval contains 0"),
        ("higher", Estimate(1.0, 0.0, 2.0), "undecided", "contains 0"),  # touching is no exclusion
        ("higher", Estimate(1.0), "undecided", "no interval"),  # one run
        ("higher", Estimate(1.0, 0.1, math.inf), "holds", ""),
        ("higher", Estimate(1.5, 1.1, 2.0, null=1.0), "holds", ""),
        ("higher", Estimate(1.5, 0.9, 2.0, null=1.0), "undecided", "contains 1"),
        ("lower", Estimate(-1.0, -2.0, -0.1), "holds", ""),
        ("lower", Estimate(1.0, 0.1, 2.0), "fails", ""),
        ("none", Estimate(-1.0, -2.0, -0.1), "fails", "the interval excludes 0"),
        ("none", Estimate(0.0, -0.1, 0.1), "undecided", "does not show that there is no effect"),
        (BAND, Estimate(1.5, 1.2, 1.8), "holds", "within the band"),
        (BAND, Estimate(1.5, 0.8, 1.8), "undecided", "crosses the edge"),
        (BAND, Estimate(1.5, 2.1, 2.2), "fails", "outside the band"),
        (None, Estimate(1.0, exact=True), "holds", ""),
        (None, Estimate(1.0, exact=False), "fails", ""),
    ],
)
def test_the_interval_decides(direction, found, word, because):
    band = isinstance(direction, tuple)
    verdict = decide(found, None if band else direction, direction if band else None)
    assert verdict.word == word
    assert because in verdict.because
    assert bool(because) == bool(verdict.because)
    assert not verdict.unmatched


@pytest.mark.parametrize(
    ("direction", "decides", "low", "word"),
    [
        ("higher", 0, 0.1, "undecided"),
        ("higher", 1, 0.1, "holds"),  # the sign that the reward cannot explain
        ("lower", 1, 0.1, "fails"),
        ("none", 1, 0.1, "fails"),
        ("higher", -1, 0.1, "undecided"),
        ("higher", 1, -0.1, "undecided"),
        ("higher", 1, math.nan, "undecided"),
        ((0.0, 3.0), 1, 0.1, "undecided"),  # a size, which the reward changes
    ],
)
def test_what_is_blocked_is_decided_only_by_an_effect_against_the_reward(
    direction, decides, low, word
):
    found = Estimate(1.0, low, 2.0, blocked="rewards not matched", decides=decides)
    band = isinstance(direction, tuple)
    verdict = decide(found, None if band else direction, direction if band else None)
    assert verdict.word == word
    assert verdict.unmatched == (word != "undecided")


@pytest.mark.parametrize(
    ("match", "metric", "decides"),
    [
        (Match("unmatched", 1), "fid", -1),  # lower is better, and training on costs quality
        (Match("unmatched", -1), "fid", 1),
        (Match("unmatched", 1), "lpips_diversity", 1),
        (Match("unmatched", 0), "fid", 0),
    ],
)
def test_an_unmatched_reward_blocks_all_but_what_it_cannot_explain(match, metric, decides):
    found = at_reward(Estimate(1.0), match, metric)
    assert (found.blocked, found.decides) == ("unmatched", decides)
    found = at_reward(Estimate(1.0, blocked="not converged"), match, metric)
    assert (found.blocked, found.decides) == ("unmatched; not converged", 0)
    assert at_reward(Estimate(1.0), MATCHED, metric) == Estimate(1.0)


def test_a_sentence_holds_with_all_of_its_parts_and_fails_with_any():
    holds, fails, undecided, absent = LEDGER_VERDICTS
    assert overall([holds, holds]) == holds
    assert overall([holds, fails, undecided]) == fails
    assert overall([holds, absent]) == undecided
    assert overall([absent, absent]) == absent
    assert overall([undecided, absent]) == undecided


def test_the_words_are_those_of_the_report():
    """The page styles a verdict by its first word."""
    assert list(map(short, LEDGER_VERDICTS)) == ["holds", "fails", "undecided", "not run"]
    assert list(map(short, CELL_VERDICTS)) == list(CELL_VERDICTS)
    assert LEDGER_VERDICTS[:3] == CELL_VERDICTS[:3]
