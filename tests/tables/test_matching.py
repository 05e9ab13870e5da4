import pandas as pd
import pytest

from pcpo.tables.matching import MATCHED, Match, reward_match


def rows(experiment, *, matched, difference, reached=True, seed=0):
    common = {"experiment": experiment, "seed": seed, "level_reached": reached}
    return [
        {**common, "arm": "baseline", "matched": reached, "difference": 0.0},
        {**common, "arm": "pcpo", "matched": matched, "difference": difference},
    ]


def selection(*pairs):
    return pd.DataFrame([row for pair in pairs for row in pair])


HIGHER = rows("a", matched=False, difference=0.3)
LOWER = rows("b", matched=False, difference=-0.3)
EQUAL = rows("c", matched=True, difference=-0.01)
NOT_REACHED = rows("d", matched=False, difference=0.3, reached=False)


@pytest.mark.parametrize(
    ("pairs", "names", "match"),
    [
        ((EQUAL, HIGHER), "c", MATCHED),
        ((HIGHER,), "a", Match("rewards not matched, 'pcpo' has the higher reward", 1)),
        ((LOWER,), "b", Match("rewards not matched, 'pcpo' has the lower reward", -1)),
        ((HIGHER, EQUAL), "ac", Match("rewards not matched, 'pcpo' has the higher reward", 1)),
        ((HIGHER, LOWER), "ab", Match("rewards not matched", 0)),
        ((NOT_REACHED,), "d", Match("rewards not matched", 0)),
        ((HIGHER, rows("a", matched=False, difference=-0.1, seed=1)), "a",
         Match("rewards not matched", 0)),
    ],
)  # fmt: skip
def test_which_arm_has_the_higher_reward(pairs, names, match):
    assert reward_match(selection(*pairs), list(names)) == match


def test_only_what_goes_against_the_difference_in_reward_decides():
    higher, lower = Match("", 1), Match("", -1)
    assert (higher.decides("fid"), lower.decides("fid")) == (-1, 1)
    assert (higher.decides("lpips_diversity"), lower.decides("lpips_diversity")) == (1, -1)
    assert Match("", 0).decides("is_star") == 0
