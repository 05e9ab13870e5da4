"""Studies in which the truth is known: how often each verdict rule says holds or fails.

At a true value on the edge of the claimed region, both together at most 5 %. The limits leave room
for the error of the simulation, three of its standard deviations.
"""

import math

import numpy as np
import pytest

from pcpo.analysis.outcomes import derived_level, epochs_to, shared_end
from pcpo.claims.estimate import against, of_interval, of_logs
from pcpo.claims.verdict import Assertion, decide, decide_together, overall
from pcpo.stats.intervals import t_interval
from pcpo.stats.power import rates
from pcpo.stats.restricted import restricted_log_ratios

STUDIES = 2000
BAND = Assertion(between=(-1.0, 2.0))
EQUAL = Assertion("none", margin=0.5)


def at_most(share, studies=STUDIES):
    return share + 3 * math.sqrt(share * (1 - share) / studies)


def shares(words):
    return {word: words.count(word) / len(words) for word in ("holds", "fails", "undecided")}


def studied(draw, assertion, studies=STUDIES):
    """`draw()` gives the paired differences of one study."""
    words = [decide(of_interval(t_interval(draw())), assertion).word for _ in range(studies)]
    return shares(words)


@pytest.mark.parametrize("runs", [2, 4, 8])
@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_without_an_effect_a_direction_is_decided_in_5_percent(runs, direction):
    rng = np.random.default_rng(runs)
    found = studied(lambda: rng.normal(0, 1, runs), Assertion(direction))
    assert max(found["holds"], found["fails"]) < at_most(0.025)
    assert found["holds"] + found["fails"] > 0.03  # not idle either


def test_heavy_tails_and_runs_of_unlike_spread_decide_no_more():
    """The difference of two exchangeable runs is symmetric, whatever a run's distribution."""
    rng = np.random.default_rng(0)
    skewed = studied(
        lambda: np.subtract(*rng.lognormal(0, 1, (2, 6))), Assertion("higher"), STUDIES
    )
    assert skewed["holds"] + skewed["fails"] < at_most(0.05)


@pytest.mark.parametrize("edge", [-0.5, 0.5])
def test_at_its_margin_no_effect_is_decided_in_5_percent(edge):
    rng = np.random.default_rng(1)
    found = studied(lambda: rng.normal(edge, 0.3, 8), EQUAL)
    assert max(found["holds"], found["fails"]) < at_most(0.025)
    none = studied(lambda: rng.normal(0, 0.3, 8), EQUAL)
    assert none["holds"] > 0.5
    assert none["fails"] == 0


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("runs", [2, 6])
def test_a_share_of_a_reference_that_varies_too_is_decided_in_5_percent(sign, runs):
    """Two arms of unlike spread, one truly a fifth off the other."""
    rng = np.random.default_rng(7)
    paired = Assertion("none", margin=0.2, relative=True, paired=True)

    def word(off):
        shared, own = rng.normal(0, 0.1, runs), rng.normal(0, 0.05, (2, runs))
        other = 1 + shared + own[0]
        one = (1 + off) * (1 + shared) + 3 * own[1]
        found = against(of_interval(t_interval(one - other)), one - other, other)
        return decide(found, paired).word

    found = shares([word(0.2 * sign) for _ in range(STUDIES)])
    assert max(found["holds"], found["fails"]) < at_most(0.025)
    assert found["holds"] + found["fails"] > 0.025  # not idle either
    if runs == 6:
        none = shares([word(0.0) for _ in range(200)])
        assert none["holds"] > 0.3
        assert none["fails"] == 0


@pytest.mark.parametrize("edge", [-1.0, 2.0])
def test_at_its_edge_a_band_is_decided_in_5_percent(edge):
    rng = np.random.default_rng(2)
    found = studied(lambda: rng.normal(edge, 1, 6), BAND)
    assert found["holds"] + found["fails"] < at_most(0.05)


@pytest.mark.parametrize("correlation", [0.0, 0.8])
@pytest.mark.parametrize("parts", [2, 6])
def test_a_sentence_without_an_effect_is_decided_in_5_percent(parts, correlation):
    rng = np.random.default_rng(3)
    words, any_part = [], 0
    for _ in range(STUDIES):
        shared = rng.normal(0, 1, 8)[:, None]
        noise = rng.normal(0, 1, (8, parts))
        draws = math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * noise
        found = [of_interval(t_interval(column)) for column in draws.T]
        verdicts = [v.word for v in decide_together(found, [Assertion("higher")] * parts)]
        any_part += {"holds", "fails"} & {*verdicts} != set()
        words.append(overall(verdicts))
    found = shares(words)
    assert found["holds"] < at_most(0.025)
    assert found["fails"] < at_most(0.025)
    assert any_part / STUDIES < at_most(0.05)


def test_one_part_without_an_effect_keeps_a_sentence_from_holding():
    """The other parts have effects that always show: the sentence hangs on the one."""
    rng = np.random.default_rng(4)
    words = []
    for _ in range(STUDIES):
        means = np.array([0.0, 50.0, 50.0, 50.0])
        found = [of_interval(t_interval(column)) for column in rng.normal(means, 1, (6, 4)).T]
        verdicts = decide_together(found, [Assertion("higher")] * 4)
        words.append(overall(v.word for v in verdicts))
    assert shares(words)["holds"] < at_most(0.025)


def race(rng, seeds, fraction, faster=1.0):
    """Validation curves of two arms, runs of unlike speed and height, and the estimate."""
    epochs = np.arange(0, 41, 2.0)
    runs = {}
    for arm, speed in (("baseline", 1.0), ("pcpo", faster)):
        rate = speed * np.exp(rng.normal(0, 0.25, (seeds, 1))) / 25
        top = 1 + rng.normal(0, 0.15, (seeds, 1))
        gain = top * (1 - np.exp(-rate * epochs)) + rng.normal(0, 0.01, (seeds, len(epochs)))
        gain[:, 0] = 0
        runs[arm] = [np.column_stack([epochs, g]) for g in gain]
    level = derived_level(runs, fraction)
    times = [[epochs_to(curve, level) for curve in runs[arm]] for arm in ("baseline", "pcpo")]
    found = restricted_log_ratios(*times, [shared_end(runs["pcpo"])] * seeds)
    return of_logs(of_interval(t_interval(found.logs)), "percent"), sum(found.cut)


@pytest.mark.parametrize("seeds", [3, 8])
@pytest.mark.parametrize("fraction", [0.5, 0.75, 1.0])
def test_times_that_are_cut_off_decide_no_more(fraction, seeds):
    """Without an effect; at the highest level about half of the runs end below it."""
    rng = np.random.default_rng(5)
    studies = 1000
    words, cut = [], 0
    for _ in range(studies):
        found, missing = race(rng, seeds, fraction)
        cut += missing
        words.append(decide(found, Assertion("higher")).word)
    found = shares(words)
    assert found["holds"] < at_most(0.025, studies)
    assert found["fails"] < at_most(0.025, studies)
    if fraction == 1.0:
        assert cut / (2 * seeds * studies) > 0.3


def test_a_cut_never_enlarges_an_effect():
    rng = np.random.default_rng(6)
    first, second = rng.uniform(1, 60, (2, 500))
    whole = restricted_log_ratios(first, second, np.full(500, 60.0))
    cut = restricted_log_ratios(first, second, np.full(500, 30.0))
    assert whole.cut == (0, 0)
    assert min(cut.cut) > 200
    assert (np.abs(cut.logs) <= np.abs(whole.logs)).all()
    assert (cut.logs * whole.logs >= 0).all()


def test_power_is_that_of_the_t_test():
    """Against statsmodels' noncentral t, for a speed-up as large as the paper's smallest."""
    from statsmodels.stats.power import TTestPower

    effect, sd = math.log(1.246), 0.14
    for runs in (4, 8, 12):
        exact = TTestPower().power(effect / sd, runs, 0.05, alternative="two-sided")
        found = rates(effect, sd, runs, 0.0, math.inf)
        assert found.holds == pytest.approx(exact, abs=0.01)
        assert found.fails < 0.001
    assert sum(rates(0.0, sd, 8, 0.0, math.inf)) == pytest.approx(0.05, abs=0.005)


def test_equivalence_is_two_one_sided_tests():
    """p of the nearest edge is twice that of statsmodels' TOST, which is at 5 % one-sided."""
    from statsmodels.stats.weightstats import DescrStatsW

    values = np.random.default_rng(7).normal(0.1, 0.3, 9)
    p, *_ = DescrStatsW(values).ttost_mean(-0.5, 0.5)
    verdict = decide(of_interval(t_interval(values)), EQUAL)
    assert verdict.p == pytest.approx(2 * p)
