"""The analysis against closed forms, published numbers, and answers whose truth is planted."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import logit

from pcpo.preference.analysis import (
    agreement,
    bradley_terry,
    by_device,
    counted,
    inattentive,
    quality,
    rate,
    win_rates,
)
from pcpo.preference.questions import COMPARISONS, QUESTIONS
from pcpo.preference.simulate import Raters, power, simulated_frame
from pcpo.records import frame_file, frames


def answers(preferred, **fields):
    """One answer to the overall question per row; raters and prompts in turn."""
    n = len(preferred)
    known = {
        "experiment": "06_dancegrpo_flux_hps",
        "rater": np.arange(n) % 20,
        "device": "phone",
        "position": np.arange(n) // 20 + 1,
        "kind": "pair",
        "category": "overall",
        "comparison": "lower_reward",
        "seed": 0,
        "pcpo_epoch": 120,
        "baseline_epoch": 180,
        "prompt_id": np.arange(n) % 45,
        "image_seed": 0,
        "side": "left",
        "preferred": preferred,
        "seconds": 5.0,
    }
    frame = pd.DataFrame(known | fields)
    frame_file.check(frame, frames.PREFERENCE, "answers")
    return frame


@pytest.mark.parametrize(("total", "wins"), [(297, 166), (332, 185)])
def test_the_binomial_test_at_the_papers_numbers_of_answers(total, wins):
    """So many wins are needed for p < 0.05: computed from the binomial distribution by hand."""
    for count, significant in ((wins, True), (wins - 1, False)):
        frame = answers(["pcpo"] * count + ["baseline"] * (total - count))
        found = win_rates(frame)[0]
        assert (found.wins, found.losses, found.ties) == (count, total - count, 0)
        assert (found.binomial_p < 0.05) == significant


def test_a_tie_is_half_an_answer_and_not_in_the_binomial_test():
    found = win_rates(answers(["pcpo"] * 30 + ["baseline"] * 10 + ["tie"] * 20))[0]
    assert (found.wins, found.ties, found.losses) == (30, 20, 10)
    assert found.rate.share == pytest.approx(40 / 60)
    assert found.binomial_p == pytest.approx(0.002221, abs=1e-5)  # 30 of 40
    assert found.holm_p == found.binomial_p  # the other rows have no answers


def test_only_pairs_as_first_seen_by_attentive_raters_count():
    pairs = answers(["pcpo"] * 60)
    repeats = answers(["baseline"] * 20, kind="repeat", position=9)
    missed = ["damaged" if rater in (3, 7) else "intact" for rater in range(20)]
    missed[5] = "tie"
    checks = answers(missed, kind="check", comparison="check", position=10)
    second = answers(["intact"] * 20, kind="check", comparison="check", position=11)
    third = answers(["intact"] * 20, kind="check", comparison="check", position=12)
    both = pd.concat([pairs, repeats, checks, second], ignore_index=True)
    assert inattentive(both) == [3, 5, 7]  # one of two missed
    assert len(counted(both)) == 60 - 3 * 3
    assert inattentive(pd.concat([both, third])) == []  # one of three
    assert inattentive(pairs) == []


def test_bradley_terry_is_the_logit_of_the_share_where_all_meet_pcpo():
    lower = answers(["pcpo"] * 70 + ["baseline"] * 30)
    higher = answers(["pcpo"] * 50 + ["baseline"] * 40 + ["tie"] * 10,
                     comparison="higher_reward", position=np.arange(100) // 20 + 6)  # fmt: skip
    found = bradley_terry(pd.concat([lower, higher]), "overall")
    assert [one.comparison for one in found] == [*COMPARISONS]
    assert [one.value for one in found] == pytest.approx([-logit(0.7), -logit(0.55)], abs=1e-6)
    assert all(0 < one.error < 1 for one in found)
    certain = bradley_terry(answers(["pcpo"] * 40), "overall")
    assert np.isnan([one.value for one in certain]).all()


def test_krippendorffs_alpha_by_its_definition():
    """1 - observed / expected disagreement, from the coincidences of pairs with two answers."""
    first = ["pcpo", "pcpo", "pcpo", "baseline", "baseline", "pcpo", "baseline", "pcpo"]
    second = ["pcpo", "pcpo", "baseline", "baseline", "baseline", "pcpo", "pcpo", "pcpo"]
    frame = pd.concat([
        answers(one, rater=rater, prompt_id=np.arange(8), position=np.arange(8) + 1)
        for rater, one in enumerate((first, second))
    ])  # fmt: skip
    values = np.array([first, second]) == "pcpo"
    observed = (values[0] != values[1]).mean()
    ones, n = values.sum(), values.size
    expected = 2 * ones * (n - ones) / (n * (n - 1))
    found, pairs = agreement(frame, "overall")
    assert pairs == 8 and found == pytest.approx(1 - observed / expected)
    alone, none = agreement(answers(["pcpo"] * 20), "overall")
    assert np.isnan(alone) and none == 0


def test_phones_and_desktops():
    phone = answers(["pcpo"] * 60 + ["baseline"] * 40)
    desktop = answers(["pcpo"] * 80 + ["baseline"] * 20, device="desktop",
                      rater=np.arange(100) % 20 + 20)  # fmt: skip
    found = by_device(pd.concat([phone, desktop]))[0]
    assert (found.phone.share, found.desktop.share) == pytest.approx((0.6, 0.8))
    assert found.difference == pytest.approx(0.2)
    assert found.low < 0.2 < found.high
    assert np.isnan(by_device(phone)[0].difference)


def test_sides_repetitions_and_time():
    left = ["pcpo"] * 15 + ["baseline"] * 5
    frame = answers(left, side=["left"] * 10 + ["right"] * 10, seconds=np.arange(20.0))
    again = answers(["pcpo"] * 10 + ["baseline"] * 10, kind="repeat", position=5,
                    side=["right"] * 10 + ["left"] * 10)  # fmt: skip
    found = quality(pd.concat([frame, again]))
    assert (found.raters, found.left_out, found.repeated) == (20, 0, 20)
    assert found.left == pytest.approx(15 / 20)  # ten PCPO on the left, five baseline on the left
    assert found.pcpo_left == 0.5
    assert found.consistent == pytest.approx(15 / 20)
    assert found.seconds == 9.5


# --- planted -------------------------------------------------------------------------------------


def test_a_planted_preference_is_recovered():
    model = Raters(win_rate=0.65)
    frame = simulated_frame(model, np.random.default_rng(0), raters=60)
    frame_file.check(frame, frames.PREFERENCE, "simulated")
    found = win_rates(frame)
    assert all(one.rate.low > 0.5 and one.holm_p < 0.01 for one in found)
    assert sum(one.rate.low < 0.65 < one.rate.high for one in found) >= 5  # of six, at 95 %


def test_the_mean_over_raters_and_prompts_is_what_was_asked_for():
    model = Raters(win_rate=0.7, rater_sd=1.0, prompt_sd=0.7)
    rng = np.random.default_rng(0)
    at = model.logit + rng.normal(0, 1.0, 200_000) + rng.normal(0, 0.7, 200_000)
    assert (1 / (1 + np.exp(-at))).mean() == pytest.approx(0.7, abs=0.003)
    assert Raters(win_rate=0.5).logit == pytest.approx(0, abs=1e-9)


def test_under_the_null_nothing_is_found_and_intervals_cover():
    """5 % of studies may be wrong; 400 of them give 20 on average, and 35 in one of 1000 cases."""
    found = power(Raters(0.5, rater_sd=0.7, prompt_sd=0.7), raters=30, studies=400, seed=1)
    assert found.above + found.below <= 35 / 400
    assert found.covered >= 1 - 35 / 400
    away = power(Raters(0.65), raters=30, studies=200, seed=2)
    assert away.covered >= 0.9 and away.above > 0.9 and away.below == 0


def test_a_test_without_clusters_would_find_too_much():
    """The reason for the robust interval: the same null studies, judged by the binomial test."""
    rng = np.random.default_rng(3)
    wrong = []
    for _ in range(40):
        frame = simulated_frame(Raters(0.5, rater_sd=1.0, prompt_sd=1.0), rng, raters=20)
        frame = frame[frame["category"] == "overall"]
        wrong += [one.binomial_p < 0.05 for one in win_rates(frame)[:1]]
    assert np.mean(wrong) > 0.12


def test_more_raters_give_more_power():
    few, many = (power(Raters(0.58), raters=n, studies=150, seed=5) for n in (15, 80))
    assert many.above > few.above + 0.2
    assert many.width < few.width


def test_no_answers_give_no_numbers():
    empty = frame_file.of_rows([], frames.PREFERENCE)
    assert np.isnan(rate(counted(empty)).share)
    assert all(one.wins == 0 and np.isnan(one.binomial_p) for one in win_rates(empty))
    assert np.isnan(quality(empty).left)
    assert len(by_device(empty)) == len(QUESTIONS)
