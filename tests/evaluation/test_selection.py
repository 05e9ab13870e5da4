"""The algorithm of checkpoint selection on curves whose answer is known."""

import math

import numpy as np
import pytest

from pcpo.analysis.reward_levels import pair_level
from pcpo.config import load_experiment
from pcpo.evaluation.selection import select_baseline, select_matched

IMAGES = 400
NOISE = np.random.default_rng(0).normal(size=IMAGES)
NOISE = (NOISE - NOISE.mean()) / NOISE.std()


def selection_rewards(curve, own=0.0):
    """Rewards of a checkpoint's images: shared noise (paired seeds) and, scaled, its own."""

    def measure(epoch):
        other = np.random.default_rng(epoch).normal(size=IMAGES)
        other = (other - other.mean()) / other.std()
        return curve[epoch - 1] + 0.3 * NOISE + own * other

    return measure


def evaluation(**changes):
    return load_experiment(2, "paper").evaluation.model_copy(update=changes)


def choose(base, own, level=6.0, *, epochs=None, base_epochs=None, noise=0.0, **changes):
    """(baseline's row, the arm's row); selection rewards are the training curves'."""
    base, own = np.asarray(base, float), np.asarray(own, float)
    measure = selection_rewards(base)
    first = select_baseline(base, level, base_epochs or list(range(1, len(base) + 1)), measure)
    second = select_matched(
        own,
        first,
        epochs or list(range(1, len(own) + 1)),
        selection_rewards(own, noise),
        measure(first.epoch),
        evaluation(tolerance=0.02) if not changes else evaluation(**{"tolerance": 0.02} | changes),
    )
    return first, second


def rising(slope, epochs=60, start=5.0):
    return start + slope * np.arange(1, epochs + 1)


def test_exact_match():
    # The trailing mean of five lags two epochs: 5 + s (e - 2) reaches 6 at e = 1/s + 2.
    base, own = choose(rising(0.02), rising(0.04))
    assert (base.crossing_epoch, base.epoch) == (52, 52)
    assert base.matched
    assert base.level_reached
    assert own.crossing_epoch == 27
    assert own.epoch == 26  # 5 + 0.04 * 26 = 6.04 = 5 + 0.02 * 52
    assert own.difference == pytest.approx(0, abs=1e-12)
    assert own.matched
    assert not own.bracketed
    assert own.selection_reward == pytest.approx(6.04)
    assert own.selection_reward_se == pytest.approx(0.3 / math.sqrt(IMAGES - 1))
    assert own.difference_se == pytest.approx(0, abs=1e-12)


def test_equally_near_checkpoints_give_the_earlier():
    own = rising(0.04)
    own[29] = own[25]  # epoch 30 falls back to the reward of epoch 26
    assert choose(rising(0.02), own)[1].epoch == 26


def test_the_neighbour_not_below_the_baseline_is_taken():
    base = rising(0.02)
    own = rising(0.04) + 0.015  # epoch 25 is 0.025 below the baseline's reward, 26 0.015 above
    assert choose(base, own)[1].epoch == 26
    own = rising(0.04) - 0.015  # epoch 26 is 0.015 below and nearest; 27 is 0.025 above
    _, chosen = choose(base, own, tolerance=0.03)
    assert chosen.epoch == 27
    assert chosen.bracketed
    assert chosen.difference == pytest.approx(0.025)
    assert chosen.matched
    assert "neighbour not below" in chosen.reason


def test_a_match_is_not_given_up_for_the_neighbour_above():
    own = rising(0.04) - 0.015  # 26 is 0.015 below and within the tolerance; 27, at +0.025, is not
    _, chosen = choose(rising(0.02), own, tolerance=0.02)
    assert chosen.epoch == 26
    assert chosen.matched
    assert not chosen.bracketed


def test_the_crossing_lies_between_candidates_even_if_the_window_holds_one():
    """Configuration 5 at the paper's scale: a checkpoint each 50 epochs, a window of ten."""
    epochs = [50, 100, 150, 200, 240]
    base, own = rising(1 / 198, 240), rising(1 / 151, 240)  # crossings at 200 and 153 (Table 10)
    first, second = choose(
        base, own, epochs=epochs, base_epochs=epochs, candidate_window=10, tolerance=0.001
    )
    assert (first.crossing_epoch, second.crossing_epoch) == (200, 153)
    assert (first.epoch, second.epoch) == (200, 200)  # as Table 5 has them
    assert second.bracketed


def test_a_level_that_is_never_reached():
    base, own = choose(rising(0.01), rising(0.04))
    assert base.crossing_epoch == -1
    assert base.epoch == 60  # the last checkpoint
    assert not base.matched
    assert not base.level_reached
    assert "its trailing mean never reaches 6; the last checkpoint is selected" in base.reason
    assert own.level_reached
    assert not own.matched  # nothing is matched to a baseline that did not get there

    base, own = choose(rising(0.02), rising(0.01))
    assert own.crossing_epoch == -1
    assert own.epoch == 60
    assert not own.level_reached
    assert "its trailing mean never reaches 6" in own.reason


def test_sparse_checkpoints():
    base, own = choose(
        rising(0.02),
        [*rising(0.04, 30), *(rising(0.04, 30, start=6.22))],
        epochs=[20, 40, 60],
        base_epochs=[20, 40, 60],
        candidate_window=2,
    )
    assert (base.crossing_epoch, base.epoch) == (52, 60)
    assert "first checkpoint after the crossing" in base.reason
    # The arm crosses at 27; no checkpoint is within the window. Candidates are on either side:
    # epoch 20 at 5.8 and epoch 40 at 6.62, 0.42 above the baseline's 6.2.
    assert own.epoch == 40
    assert own.bracketed
    assert own.difference == pytest.approx(0.42)
    assert not own.matched


def test_a_difference_beyond_the_tolerance_is_not_matched():
    own = np.where(np.arange(60) < 25, 5.0, 8.0)  # jumps over the level
    _, chosen = choose(rising(0.02), own)
    assert not chosen.matched
    assert "beyond 0.02" in chosen.reason
    assert abs(chosen.difference) > 0.9


def test_two_paired_standard_errors_are_tolerated():
    own = rising(0.04) + 0.035
    assert not choose(rising(0.02), own, candidate_window=0)[1].matched
    _, noisy = choose(rising(0.02), own, candidate_window=0, noise=3.0)
    assert noisy.difference_se == pytest.approx(3.0 / math.sqrt(IMAGES - 1))
    assert noisy.matched


def test_only_checkpoints_within_the_window_are_scored():
    scored = []
    base, own = rising(0.02), rising(0.04)
    first = select_baseline(base, 6.0, range(1, 61), selection_rewards(base))

    def measure(epoch):
        scored.append(epoch)
        return selection_rewards(own)(epoch)

    reference = selection_rewards(base)(first.epoch)
    select_matched(own, first, range(1, 61), measure, reference, evaluation(candidate_window=3))
    assert scored == list(range(24, 31))


def test_without_a_common_level_the_last_checkpoint_is_selected():
    base, own = choose(rising(0.02), rising(0.04), level=math.nan)
    assert base.epoch == 60
    assert not base.level_reached
    assert not base.matched
    assert "no level is reached by both" in base.reason
    assert own.epoch == 50  # of the last ten epochs' checkpoints, the nearest
    assert not own.matched
    assert "no level is reached by both" in own.reason


def test_a_run_shorter_than_the_trailing_mean_selects_its_last_checkpoint():
    """The smoke scale's two epochs: no level, derived or published, and both rows say why."""
    base, own = np.array([5.0, 7.0]), np.array([5.0, 9.0])
    derived = evaluation(reward_levels=(), level_fractions=(0.5,))
    for level in (pair_level(derived, {"baseline": base, "pcpo": own}), 6.0):
        first, second = choose(base, own, level=level, candidate_window=1)
        assert (first.epoch, first.crossing_epoch, first.matched) == (2, -1, False)
        assert first.reason.startswith("a run of 2 epochs is shorter than the trailing mean of 5")
        assert (second.crossing_epoch, second.matched) == (-1, False)
        assert "a run of 2 epochs is shorter" in second.reason


def test_screening_scores_only_the_nearest_in_full():
    base, own = rising(0.02), rising(0.04)
    measure, scored = selection_rewards(own), []

    def full(epoch):
        scored.append(epoch)
        return measure(epoch)

    few = np.arange(IMAGES) < 100
    first = select_baseline(base, 6.0, list(range(1, 61)), selection_rewards(base))
    chosen = select_matched(
        own, first, list(range(1, 61)), full, selection_rewards(base)(first.epoch),
        evaluation(tolerance=0.02), lambda epoch: measure(epoch)[few], few,
    )  # fmt: skip
    assert scored == [25, 26, 27]
    assert chosen.epoch == 26
    assert "epochs 17-37" in chosen.reason
