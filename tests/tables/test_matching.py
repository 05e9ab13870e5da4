import pandas as pd
import pytest

from pcpo.tables.matching import unmatched


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
    ],
)  # fmt: skip
def test_which_arm_has_the_higher_reward(pairs, names, why):
    assert unmatched(selection(*pairs), list(names)) == why
