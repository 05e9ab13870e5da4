import pandas as pd
import pytest

from pcpo.tables.build import build
from pcpo.tables.matching import matched_seeds, unmatched, unmatched_baselines
from tests import fabricated


def rows(experiment, *, matched, difference, seed=0):
    common = {"experiment": experiment, "seed": seed, "tolerance": 0.02}
    return [
        {**common, "arm": "baseline", "matched": True, "difference": 0.0},
        {**common, "arm": "pcpo", "matched": matched, "difference": difference},
    ]


def selection(*pairs):
    return pd.DataFrame([row for pair in pairs for row in pair])


HIGHER = rows("a", matched=False, difference=0.3)
LOWER = rows("b", matched=False, difference=-0.3)
EQUAL = rows("c", matched=True, difference=-0.01)


@pytest.mark.parametrize(
    ("pairs", "names", "why"),
    [
        ((EQUAL, HIGHER), "c", ""),
        ((HIGHER,), "a", "rewards not matched, 'pcpo' has the higher reward"),
        ((LOWER,), "b", "rewards not matched, 'pcpo' has the lower reward"),
        ((HIGHER, EQUAL), "ac", "rewards not matched, 'pcpo' has the higher reward"),
        ((HIGHER, LOWER), "ab", "rewards not matched"),
        # Seeds are compared as their mean.
        ((HIGHER, rows("a", matched=False, difference=-0.29, seed=1)), "a", ""),
        ((HIGHER, rows("a", matched=True, difference=0.0, seed=1)), "a",
         "rewards not matched, 'pcpo' has the higher reward"),
        ((EQUAL, rows("c", matched=True, difference=0.0, seed=1)[:1]), "c",
         "a training seed has no checkpoint of 'pcpo'"),
    ],
)  # fmt: skip
def test_which_arm_has_the_higher_reward(pairs, names, why):
    assert unmatched(selection(*pairs), list(names)) == why


@pytest.mark.parametrize(
    ("rewards", "why"),
    [
        ([(5.43, 5.44)], ""),
        ([(5.437, 5.648)], "5.437 in configuration 1 and 5.648 in configuration 2"),
        ([(5.437, 5.648), (5.648, 5.437)], ""),  # equal over the seeds
        ([(5.437, 5.648), (5.44, 5.44)], "5.439 in configuration 1 and 5.544 in configuration 2"),
    ],
)
def test_the_batch_size_is_judged_where_the_baselines_match(rewards, why):
    """PCPO matches the baseline of its own configuration in all of these."""
    one = fabricated.selection((1, 2))
    rows = []
    for seed, of_seed in enumerate(rewards):
        own = one["experiment"].map(dict(zip(map(fabricated.name, (1, 2)), of_seed, strict=True)))
        own_tolerance = one["tolerance"].where(one["arm"] != "baseline", 0.0)
        rows.append(one.assign(seed=seed, selection_reward=own, tolerance=own_tolerance))
    chosen = pd.concat(rows)
    numbered = {e.number: e for e in fabricated.experiments()}
    found = unmatched_baselines(chosen, [numbered[1], numbered[2]])
    assert found == (f"rewards of the baselines not matched: {why}" if why else "")
    assert unmatched_baselines(chosen, [numbered[1], None]) == ""
    data = {"per_prompt": fabricated.metrics()[1], "selection": chosen}
    table = build("table3", fabricated.experiments(), data)
    blocked = table.frame.groupby("effect")["unmatched"].unique()
    assert list(blocked["Batch Size"]) == [found]
    assert list(blocked["Algorithm"]) == list(blocked["Interaction"]) == [""]
    assert any("'Interaction' then compares" in note for note in table.notes) == bool(why)


def test_baselines_are_compared_over_the_seeds_that_both_have():
    of_both = fabricated.selection((1, 2)).assign(seed=0, selection_reward=5.4)
    alone = fabricated.selection((1,)).assign(seed=1, selection_reward=9.0)
    pair = fabricated.experiments((1, 2))
    assert unmatched_baselines(pd.concat([of_both, alone]), pair) == ""


def test_two_seeds_match_within_the_tolerance_of_their_experiment():
    """A baseline's own row has tolerance 0."""
    chosen = pd.DataFrame(
        {
            "experiment": experiment, "arm": arm, "seed": seed, "selection_reward": reward,
            "tolerance": tolerance if arm == "pcpo" else 0.0,
        }
        for experiment, tolerance in (("a", 0.02), ("b", 0.2))
        for arm in ("baseline", "pcpo")
        for seed, reward in enumerate((1.0, 1.01, 1.035))
    )  # fmt: skip
    pairs = pd.DataFrame(
        [
            (experiment, arm, *seeds)
            for experiment in "ab"
            for arm in ("baseline", "pcpo")
            for seeds in ((0, 1), (0, 2), (1, 2), (0, 3))  # there is no seed 3
        ],
        columns=["experiment", "arm", "first", "second"],
    )
    found = matched_seeds(pairs[1:], chosen)
    assert list(found.index) == list(range(1, 16))
    of_a, of_b = [True, False, False, False], [True, True, True, False]
    assert list(found) == [*of_a, *of_a, *of_b, *of_b][1:]
