"""The phases of training of Figures 10 and 11, on curves whose crossing is known."""

import numpy as np
import pandas as pd

from pcpo.analysis.phases import find_phases, instead, split
from tests.fabricated import evaluation

LINE = np.arange(1.0, 31.0)  # the mean of five epochs is e - 2 at epoch e


def curves(runs):
    """Rows of runs {(arm, seed): rewards}, two updates an epoch."""
    return pd.concat(
        pd.DataFrame(
            {"arm": arm, "seed": seed, "epoch": epoch, "update": update, "reward_mean": reward}
            for epoch, reward in enumerate(rewards, 1)
            for update in (1, 2)
        )
        for (arm, seed), rewards in runs.items()
    )


def test_the_second_phase_follows_each_runs_own_crossing():
    runs = {("baseline", 0): LINE, ("pcpo", 0): 2 * LINE, ("pcpo", 1): 4 * LINE}
    found = find_phases(curves(runs), evaluation(reward_levels=(5.0, 12.0)))
    assert all(list(p.first) == [1, 2, 3, 4, 5] for p in found.values())
    assert list(found["baseline", 0].near) == [15, 16, 17, 18, 19]  # crosses 12 in epoch 14
    assert list(found["pcpo", 0].near) == [9, 10, 11, 12, 13]  # in epoch 8
    assert list(found["pcpo", 1].near) == [6, 7, 8, 9, 10]  # in epoch 5, the first that can
    assert instead(found, {}) == ""
    own = find_phases(curves(runs), evaluation(reward_levels=(5.0, 12.0), matched_level=5.0))
    assert own["baseline", 0].near[0] == 8  # the level of matching, not the highest


def test_a_derived_level_is_that_of_the_pair_of_the_seed():
    runs = {("baseline", 0): LINE, ("pcpo", 0): 2 * LINE, ("half", 0): LINE / 10}
    found = find_phases(curves(runs), evaluation(level_fractions=(0.5,)))
    # From 6 (PCPO's first mean) to 28 (the baseline's last): 17, which the baseline has at 19.
    assert found["baseline", 0].near[0] == 20
    assert list(found["half", 0].near) == [26, 27, 28, 29, 30]
    assert "half, seed 0 (epochs 26 to 30: never at the level 17)" in instead(found, {})


def test_where_the_run_ends_its_last_epochs_stand_and_are_named():
    never = find_phases(curves({("pcpo", 3): LINE}), evaluation(reward_levels=(50.0,)))
    assert list(never["pcpo", 3].near) == [26, 27, 28, 29, 30]
    assert "PCPO, seed 3 (epochs 26 to 30: never at the level 50)" in instead(
        never, {"pcpo": "PCPO"}
    )
    late = find_phases(curves({("pcpo", 3): LINE}), evaluation(reward_levels=(26.0,)))
    assert list(late["pcpo", 3].near) == [26, 27, 28, 29, 30]  # crosses in epoch 28
    assert "at the level 26 in epoch 28 only" in instead(late, {})
    alone = find_phases(curves({("pcpo", 3): LINE}), evaluation())
    assert "no level" in instead(alone, {})  # derived from both arms


def test_phases_never_share_an_epoch():
    runs = {("pcpo", 0): LINE[:6], ("pcpo", 1): LINE[:4]}
    rows = curves(runs)
    parts = split(rows, find_phases(rows, evaluation()))  # the shorter has four: two and two
    assert list(parts) == ["first 2 epochs", "2 epochs near convergence"]
    first, near = parts.values()
    assert set(first["epoch"]) == {1, 2}
    assert near.groupby("seed")["epoch"].unique().map(list).tolist() == [[5, 6], [3, 4]]
    single = curves({("pcpo", 0): LINE[:2]})  # the smoke scale
    parts = split(single, find_phases(single, evaluation()))
    assert {k: set(v["epoch"]) for k, v in parts.items()} == {
        "first epoch": {1},
        "epoch near convergence": {2},
    }
