"""Random and balanced: comparison, prompt, image, side."""

import random
from collections import Counter

import pytest

from pcpo.preference.schedule import APART, Design, choose, kinds
from tests.preference.conftest import make_study


def asked_of_all(pool, raters, design, chance):
    """What each rater is asked, all answering in turn."""
    shown, sessions = Counter(), []
    for _ in range(raters):
        seen = []
        for kind in kinds(design, pool, chance):
            asked = choose(pool, kind, seen, shown, chance)
            seen.append(asked)
            if kind != "repeat":
                shown[asked.pair, asked.flipped] += 1
        sessions.append(seen)
    return sessions


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("pool"), prompts=9, images=4).pool


@pytest.fixture(scope="module")
def sessions(pool):
    return asked_of_all(pool, 60, Design(pairs=12, checks=2, repeats=1), random.Random(1))


def test_a_session_has_what_its_design_says(sessions):
    for seen in sessions:
        assert Counter(asked.kind for asked in seen) == {"pair": 12, "check": 2, "repeat": 1}
        assert seen[0].kind == "pair"


def test_comparisons_and_prompts_are_balanced_in_each_session(sessions, pool):
    known = {pair.id: pair for pair in pool.pairs}
    for seen in sessions:
        pairs = [known[asked.pair] for asked in seen if asked.kind == "pair"]
        assert [*Counter(pair.group for pair in pairs).values()] == [6, 6]
        assert max(Counter(pair.prompt_id for pair in pairs).values()) <= 2


def test_nobody_sees_an_image_twice_but_in_a_repetition(sessions, pool):
    known = {pair.id: pair for pair in pool.pairs}
    for seen in sessions:
        items = [known[asked.pair].item for asked in seen if asked.kind == "pair"]
        assert len(set(items)) == len(items)


def test_all_pairs_and_both_orders_are_used_alike(sessions, pool):
    shown = Counter((a.pair, a.flipped) for seen in sessions for a in seen if a.kind == "pair")
    pairs = [pair.id for pair in pool.pairs if pair.kind == "pair"]
    totals = [shown[p, False] + shown[p, True] for p in pairs]
    assert sum(totals) == 720 and min(totals) >= 7  # 72 pairs: 10 each
    assert max(abs(shown[p, False] - shown[p, True]) for p in pairs) <= 1


def test_a_repetition_is_an_earlier_pair_with_its_sides_exchanged(sessions):
    for seen in sessions:
        (place,) = [n for n, asked in enumerate(seen) if asked.kind == "repeat"]
        (before,) = [n for n, a in enumerate(seen[:place]) if a.pair == seen[place].pair]
        assert place - before >= APART
        assert seen[before].flipped != seen[place].flipped


def test_a_large_pool_has_pairs_that_two_raters_saw(tmp_path):
    pool = make_study(tmp_path, prompts=30, images=10).pool
    sessions = asked_of_all(pool, 10, Design(20, 0, 0), random.Random(2))
    shown = Counter(asked.pair for seen in sessions for asked in seen)
    assert 10 <= sum(times > 1 for times in shown.values()) <= 50  # 200 questions, 600 pairs


def test_order_is_drawn_anew_for_every_rater(sessions):
    assert len({tuple(asked.pair for asked in seen[:3]) for seen in sessions}) > 55
    assert len({tuple(asked.kind for asked in seen) for seen in sessions}) > 20


def test_a_small_pool_gives_a_shorter_session(tmp_path):
    pool = make_study(tmp_path, prompts=2, images=2).pool
    plan = kinds(Design(pairs=20, checks=9, repeats=1), pool, random.Random(0))
    assert Counter(plan) == {"pair": 4, "check": 4}  # too short for a repetition
