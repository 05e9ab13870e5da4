import math

import pytest
from statsmodels.stats.multitest import multipletests

from pcpo.claims.estimate import Estimate, of_logs
from pcpo.claims.verdict import Assertion, at_reward, decide, decide_together, overall
from pcpo.claims.words import CELL_VERDICTS, LEDGER_VERDICTS, short

HIGHER, LOWER = Assertion("higher"), Assertion("lower")
NONE, BAND = Assertion("none", margin=0.5), Assertion(between=(1.0, 2.0))
RELATIVE = Assertion("none", margin=0.05, relative=True)


def of(value, low=math.nan, high=math.nan, **others):
    """Of eight pairs of runs."""
    return Estimate(value, low, high, **({"runs": 8, "df": 7} | others))


@pytest.mark.parametrize(
    ("assertion", "found", "word", "because"),
    [
        (HIGHER, of(1.0, 0.1, 1.9), "holds", ""),
        (HIGHER, of(-1.0, -1.9, -0.1), "fails", ""),
        (HIGHER, of(1.0, -0.1, 2.1), "undecided", "the interval contains 0"),
        (HIGHER, of(1.0, 0.0, 2.0), "undecided", "contains 0"),  # touching is no exclusion
        (HIGHER, of(1.0), "undecided", "no interval"),
        (HIGHER, of(1.5, 1.1, 1.9, null=1.0), "holds", ""),
        (HIGHER, of(1.5, 0.9, 2.1, null=1.0), "undecided", "contains 1"),
        (LOWER, of(-1.0, -1.9, -0.1), "holds", ""),
        (LOWER, of(1.0, 0.1, 1.9), "fails", ""),
        (NONE, of(0.0, -0.4, 0.4), "holds", "lies within -0.5 to 0.5"),
        (NONE, of(0.3, 0.2, 0.4), "holds", "within"),  # an effect, and a small one
        (NONE, of(0.0, -0.6, 0.6), "undecided", "not clear of the edges of -0.5 to 0.5"),
        (NONE, of(-1.0, -1.4, -0.6), "fails", "outside"),
        (NONE, of(0.0, -0.4, 0.4, censored=True), "undecided", "ends below the level"),
        (RELATIVE, of(0.0, -0.4, 0.4, reference=-10.0), "holds", "within -0.5 to 0.5"),
        (RELATIVE, of(0.0, -0.4, 0.4), "undecided", "no margin"),
        (BAND, of(1.5, 1.2, 1.8), "holds", "within 1 to 2"),
        (BAND, of(1.5, 0.8, 2.2), "undecided", "not clear of the edges"),
        (BAND, of(2.5, 2.1, 2.9), "fails", "outside"),
        (Assertion(), Estimate(1.0, exact=True), "holds", ""),  # needs no second run
        (Assertion(), Estimate(1.0, exact=False), "fails", ""),
        (HIGHER, of(1.0, 0.1, 1.9, blocked="rewards not matched"), "undecided", ""),
        (NONE, of(1.0, 0.1, 1.9, blocked="rewards not matched"), "undecided", ""),
    ],
)
def test_the_region_decides(assertion, found, word, because):
    verdict = decide(found, assertion)
    assert verdict.word == word
    assert because in verdict.because
    assert bool(because) == bool(verdict.because)


@pytest.mark.parametrize("assertion", [HIGHER, LOWER, NONE, BAND])
@pytest.mark.parametrize("blocked", ["", "rewards not matched"])
def test_one_run_is_judged_of_nothing(assertion, blocked):
    for low, high in ((0.1, 1.9), (-1.0, 3.0), (math.nan, math.nan)):
        found = Estimate(1.0, low, high, blocked=blocked)
        assert decide(found, assertion).word == "one run"


def test_ratios_and_percents_are_tested_on_their_logarithms():
    logs = of(0.2, 0.0001, 0.3999)
    assert decide(logs, HIGHER).p == pytest.approx(0.05, abs=1e-3)
    for scale in ("ratio", "percent"):
        found = of_logs(logs, scale)
        assert found.value == pytest.approx({"ratio": 1.2214, "percent": 22.14}[scale], rel=1e-3)
        assert decide(found, HIGHER).p == pytest.approx(decide(logs, HIGHER).p)
    assert decide(of_logs(logs, "ratio"), Assertion(between=(-1.0, 3.0))).word == "holds"


def with_p(*ps, sides=None):
    """Estimates with these two-sided p-values, above 0 or as `sides` says."""
    from scipy import stats

    half = stats.t.ppf(0.975, 7)
    for p, side in zip(ps, sides or [1] * len(ps), strict=True):
        t = side * stats.t.isf(p / 2, 7)
        yield of(t, t - half, t + half)


def words(found, assertion=HIGHER):
    found = [*found]
    return decide_together(found, [assertion] * len(found))


def test_parts_are_corrected_by_holm_unless_all_hold():
    ps = [0.01, 0.02, 0.04, 0.3]
    found = words(with_p(*ps))
    assert [v.p for v in found] == pytest.approx(ps)
    assert [v.p_holm for v in found] == pytest.approx(multipletests(ps, method="holm")[1])
    assert [v.word for v in found] == ["holds", "undecided", "undecided", "undecided"]
    assert "0.06 after Holm's correction" in found[1].because
    # All must hold: each at 5 % by itself is enough.
    assert {v.word for v in words(with_p(0.04, 0.04, 0.04))} == {"holds"}
    # Any may fail: corrected.
    sides = [-1, 1, 1]
    assert words(with_p(0.04, 0.001, 0.001, sides=sides))[0].word == "fails"
    assert words(with_p(0.03, 0.3, 0.4, sides=sides))[0].word == "undecided"
    # What was not tested is no chance to fail.
    untested = [of(1.0, blocked="x"), Estimate(1.0), of(1.0)]
    assert words([*with_p(0.04, sides=[-1]), *untested])[0].word == "fails"


def test_an_unmatched_reward_decides_no_claim_on_quality():
    assert at_reward(of(1.0), "unmatched").blocked == "unmatched"
    assert at_reward(of(1.0, blocked="odd"), "unmatched").blocked == "unmatched; odd"
    assert at_reward(of(1.0), "") == of(1.0)


def test_a_sentence_holds_with_all_of_its_parts_and_fails_with_any():
    holds, fails, undecided, one, absent = LEDGER_VERDICTS
    assert overall([holds, holds]) == holds
    assert overall([holds, fails, undecided]) == fails
    assert overall([holds, absent]) == undecided
    assert overall([absent, absent]) == absent
    assert overall([undecided, absent]) == undecided
    assert overall([one, one]) == overall([one, absent]) == overall([one, holds]) == one
    assert overall([one, fails]) == fails
    assert overall([one, undecided]) == undecided


def test_the_words_are_those_of_the_report():
    """The page styles a verdict by its first word."""
    assert list(map(short, LEDGER_VERDICTS)) == [
        "holds",
        "fails",
        "undecided",
        "one run",
        "not run",
    ]
    assert list(map(short, CELL_VERDICTS)) == list(CELL_VERDICTS)
    assert LEDGER_VERDICTS[:4] == CELL_VERDICTS[:4]
