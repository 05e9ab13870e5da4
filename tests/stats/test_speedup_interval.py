import time

import numpy as np
import pytest

from pcpo.stats import speedup_interval
from pcpo.stats.speedup import first_crossing, interpolated_crossing, speedup_percent
from pcpo.stats.speedup_interval import ONE_RUN, compare_runs, resampled_crossings


def saturating(epochs, faster=1.0):
    return 1 - np.exp(-faster * np.arange(1, epochs + 1) / (epochs / 2))


@pytest.mark.parametrize("correlation", [0.0, 0.4])
def test_interval_of_one_run_covers_the_truth(monkeypatch, correlation):
    """Coverage on simulated curves: nominal 95 %, less allowed for correlated noise."""
    monkeypatch.setattr(speedup_interval, "RESAMPLES", 300)
    epochs, level, rng = 60, 0.65, np.random.default_rng(0)
    curves = [saturating(epochs), saturating(epochs, 1.3)]
    truth = speedup_percent(*(interpolated_crossing(curve, level) for curve in curves))
    covered, runs = 0, 120
    for _ in range(runs):
        noise = rng.normal(0, 0.04, size=(2, epochs))
        for t in range(1, epochs):
            past = correlation * noise[:, t - 1]
            noise[:, t] = past + np.sqrt(1 - correlation**2) * noise[:, t]
        found = compare_runs({0: curves[0] + noise[0]}, {0: curves[1] + noise[1]}, level)
        assert found.low <= found.percent <= found.high
        covered += found.low <= truth <= found.high
    assert covered / runs > (0.93 if correlation == 0 else 0.83)


def test_interval_of_one_run_is_not_idle():
    """It tells a run from one twice as fast, grows with the noise, and closes without noise."""
    widths = []
    for noise in (0.0, 0.02, 0.08):
        rng = np.random.default_rng(3)
        slow, fast = (saturating(100, f) + rng.normal(0, noise, 100) for f in (1, 2))
        found = compare_runs({0: slow}, {0: fast}, 0.6)
        assert found.low > 20
        assert found.method == ONE_RUN
        widths.append(found.high - found.low)
    assert widths[0] < 0.5  # what a quadratic does not follow of the curve
    assert 10 < widths[1] < widths[2] < 250
    same = compare_runs({0: slow}, {0: slow}, 0.6)
    assert same.low == same.percent == same.high == 0.0  # all of its noise is shared


def test_interval_is_repeatable_and_fast():
    rng = np.random.default_rng(4)
    slow, fast = (saturating(300, f) + rng.normal(0, 0.05, 300) for f in (1, 1.3))
    start = time.process_time()
    found = compare_runs({0: slow}, {0: fast}, 0.6)
    assert time.process_time() - start < 1
    assert found == compare_runs({0: slow}, {0: fast}, 0.6)


def test_resamples_vary_as_runs_do():
    """Crossings of the resamples of one run against those of fresh runs, on a straight line."""
    rng = np.random.default_rng(5)
    line = np.linspace(0, 1, 200)
    fresh = [interpolated_crossing(line + rng.normal(0, 0.1, 200), 0.5) for _ in range(400)]
    deviations = [
        resampled_crossings([line + rng.normal(0, 0.1, 200)], 0.5, rng, resamples=400).std()
        for _ in range(20)
    ]
    assert np.mean(deviations) == pytest.approx(np.std(fresh), rel=0.15)


def test_runs_that_never_arrive_give_bounds():
    slow, fast = saturating(40), saturating(40, 3)
    crossing = interpolated_crossing(fast, 0.95)
    never = compare_runs({0: slow}, {0: fast}, 0.95)
    assert np.isnan(never.percent)
    assert (never.baseline_reached, never.pcpo_reached) == (0, 1)
    assert never.at_least == speedup_percent(40, crossing)  # not up to epoch 40
    assert never.low == pytest.approx(never.at_least, rel=0.1)
    assert never.high == np.inf
    reverse = compare_runs({0: fast}, {0: slow}, 0.95)
    assert reverse.at_most == speedup_percent(crossing, 40)
    assert (reverse.low, reverse.high) == (-100.0, pytest.approx(reverse.at_most, rel=0.1))
    neither = compare_runs({0: slow}, {0: slow}, 2.0)
    assert np.isnan([neither.percent, neither.low, neither.high]).all()
    assert "neither run" in neither.method


def test_several_seeds_are_paired():
    line = np.arange(1.0, 101.0)
    baseline = dict.fromkeys(range(3), line) | {9: 100 * line}
    pcpo = {seed: (1.5 + 0.25 * seed) * line for seed in range(3)}
    found = compare_runs(baseline, pcpo, 60)
    crossing = interpolated_crossing(line, 60)
    ratios = [crossing / interpolated_crossing(run, 60) for run in pcpo.values()]
    assert found.runs == 3
    assert found.percent == pytest.approx(100 * (np.prod(ratios) ** (1 / 3) - 1))
    assert found.baseline_crossing / found.pcpo_crossing == pytest.approx(1 + found.percent / 100)
    whole = [first_crossing(run, 60) for run in pcpo.values()]
    assert found.pcpo_epochs == pytest.approx(np.prod(whole) ** (1 / 3))
    half = 4.302653 * np.std(np.log(ratios), ddof=1) / np.sqrt(3)  # t of 2 degrees of freedom
    centre = np.log1p(found.percent / 100)
    expected = [100 * np.expm1(centre - half), 100 * np.expm1(centre + half)]
    np.testing.assert_allclose([found.low, found.high], expected, rtol=1e-6)
    some = compare_runs(baseline, pcpo | {1: line[:20]}, 60)
    # Of the seed whose run ends after 20 epochs both arms count as 20.
    ratios[1] = 1.0
    assert some.percent == pytest.approx(100 * (np.prod(ratios) ** (1 / 3) - 1))
    assert (some.runs, some.baseline_reached, some.pcpo_reached) == (3, 3, 2)
    assert "2 runs" in some.method
    assert "last epoch" in some.method
    none = compare_runs(baseline, pcpo, 1000)
    assert np.isnan([none.percent, none.low, none.high]).all()
    assert "no run reaches the level" in none.method


def test_both_arms_get_the_same_blocks():
    """Noise that the runs share moves both crossings, and their ratio hardly at all."""
    rng = np.random.default_rng(8)
    noise = rng.normal(0, 0.05, 100)
    first, second = (saturating(100, f) for f in (1, 1.05))
    shared = compare_runs({0: first + noise}, {0: second + noise}, 0.6)
    own = compare_runs({0: first + noise}, {0: second + rng.normal(0, 0.05, 100)}, 0.6)
    assert shared.high - shared.low < 0.8 * (own.high - own.low)


def test_what_cannot_be_compared_is_an_error():
    with pytest.raises(ValueError, match="no training seed has both arms"):
        compare_runs({0: [1.0]}, {1: [1.0]}, 1.0)
    six = compare_runs({0: [0, 0, 0, 0, 0, 5.0]}, {0: [0, 0, 0, 0, 5.0, 5.0]}, 0.5)
    assert six.percent == pytest.approx(10.0)  # epochs 5.5 and 5
    assert (six.baseline_epochs, six.pcpo_epochs) == (6, 5)
    assert np.isnan(six.low)
    assert "fewer than 10 epochs" in six.method
    short = compare_runs({0: [1.0, 2.0]}, {0: [2.0] * 7}, 1.5)
    assert np.isnan([short.percent, short.low, short.at_least, short.at_most]).all()
    assert "shorter than the trailing mean of 5 epochs" in short.method
    with pytest.raises(ValueError, match="first in epoch 3"):
        compare_runs({0: [1.0, 2.0, np.nan]}, {0: [2.0, 3.0]}, 1.5)
