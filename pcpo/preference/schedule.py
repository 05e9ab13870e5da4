"""Which question a rater gets next: kinds of a session, then pair and sides, random and balanced.

The paper randomises comparison, prompt, image and side. Here each is also balanced: the least used
one is taken, at random among equals. A rater sees an image of PCPO or of the baseline once at most
(`Pair.item`), so that an image that comes twice, beside two others, does not give its arm away.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from pcpo.preference.pairs import Pair, Pool
from pcpo.preference.questions import Kind

# So many of the questions are about a pair that another rater has seen, if there is one of the
# prompt: without them a large pool gives no two answers on one pair, and agreement is not known.
SHARED = 0.2
APART = 4  # questions at least between a pair and its repetition


@dataclass(frozen=True)
class Design:
    """How long a session is: pairs, attention checks among them, and pairs that come twice."""

    pairs: int = 20
    checks: int = 2
    repeats: int = 1

    @property
    def total(self) -> int:
        return self.pairs + self.checks + self.repeats


class Asked(NamedTuple):
    """A question of a session. flipped: the pair's second image was on the left."""

    kind: Kind
    pair: str
    flipped: bool


# (pair, flipped) -> how often it was shown so, to all raters.
Shown = Mapping[tuple[str, bool], int]


def kinds(design: Design, pool: Pool, chance: random.Random) -> list[Kind]:
    """The kinds of a session's questions, in order.

    Checks are spread evenly, each at a random place of its stretch and none at the start.
    Repetitions come at random places of the last third. A pool with few pairs gives a shorter
    session.
    """
    items = {pair.item for pair in pool.pairs if pair.kind == "pair"}
    checks = sum(pair.kind == "check" for pair in pool.pairs)
    found: list[Kind] = ["pair"] * min(design.pairs, len(items))
    pairs = len(found)
    places = []
    if pairs > APART + 1:
        first = max(APART + 1, 2 * pairs // 3)
        places += [(chance.randint(first, pairs), "repeat") for _ in range(design.repeats)]
    wanted = min(design.checks, checks)
    for number in range(wanted):
        low, high = number * pairs // wanted, (number + 1) * pairs // wanted
        places.append((chance.randint(max(low, 1), max(high, 1)), "check"))
    for place, kind in sorted(places, reverse=True):
        found.insert(place, kind)  # type: ignore[arg-type]
    return found


def choose(
    pool: Pool, kind: Kind, seen: Sequence[Asked], shown: Shown, chance: random.Random
) -> Asked | None:
    """The next question of this kind for a rater who has `seen` these; None if there is none left.

    A pair is shown in both orders in turn. Its first order was drawn with the pool.
    """
    known = {pair.id: pair for pair in pool.pairs}
    before = [known[asked.pair] for asked in seen if asked.pair in known]
    if kind == "repeat":
        return _repeated(seen, chance)
    items = {pair.item for pair in before}
    free = [pair for pair in pool.pairs if pair.kind == kind and pair.item not in items]
    if not free:
        return None
    total = Counter[str]()  # pair -> how often it was shown
    for (pair_id, _), times in shown.items():
        total[pair_id] += times
    mine = [pair for pair in before if pair.kind == kind]
    every = [pair for pair in pool.pairs if pair.kind == kind]
    free = _least(
        free, Counter(p.group for p in mine), _sums(every, total, "group"), "group", chance
    )
    of_group = [pair for pair in every if pair.group == free[0].group]
    prompts = Counter(p.prompt_id for p in mine)
    free = _least(free, prompts, _sums(of_group, total, "prompt_id"), "prompt_id", chance)
    if chance.random() < SHARED:
        free = [pair for pair in free if total[pair.id]] or free
    fewest = min(total[pair.id] for pair in free)
    pair = chance.choice([pair for pair in free if total[pair.id] == fewest])
    flipped = shown.get((pair.id, False), 0) > shown.get((pair.id, True), 0)
    return Asked(kind, pair.id, flipped)


def _least(
    free: Sequence[Pair],
    mine: Mapping[Any, int],
    total: Mapping[Any, int],
    by: str,
    chance: random.Random,
) -> list[Pair]:
    """The pairs of one value of a field: the least used by this rater, then by all raters."""
    values = sorted({getattr(pair, by) for pair in free})
    chance.shuffle(values)
    best = min(values, key=lambda value: (mine.get(value, 0), total.get(value, 0)))
    return [pair for pair in free if getattr(pair, by) == best]


def _sums(pairs: Iterable[Pair], total: Mapping[str, int], by: str) -> Mapping[Any, int]:
    found = Counter[Any]()
    for pair in pairs:
        found[getattr(pair, by)] += total.get(pair.id, 0)
    return found


def _repeated(seen: Sequence[Asked], chance: random.Random) -> Asked | None:
    """An earlier pair with its sides exchanged, `APART` questions ago or more."""
    again = {asked.pair for asked in seen if asked.kind == "repeat"}
    early = [a for a in seen[: -APART or None] if a.kind == "pair" and a.pair not in again]
    if not early:
        return None
    asked = chance.choice(early)
    return Asked("repeat", asked.pair, not asked.flipped)
