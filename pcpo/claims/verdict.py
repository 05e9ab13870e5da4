"""The one rule for verdicts on the paper's claims, in the ledger and in the paper's cells.

A claim is a direction (an effect is higher or lower than none, or there is none) or a band. An
estimate has a 95 % interval and the value of no effect, its null.

- An interval on one side of the null shows an effect. An interval that contains or touches it shows
  nothing: undecided. The absence of an effect is therefore never shown.
- An effect on the claimed side: holds. On the other side, or where none is claimed: fails.
- A band holds where the whole interval is inside it and fails where the whole interval is outside.
- Where something other than the claim may have caused the effect (`Estimate.blocked`, mostly an
  unmatched reward), the claim is undecided. The one exception is an effect whose sign the reward
  cannot explain (`at_reward`, by `pcpo.tables.matching.Match.decides`).
- A statement that is checked row by row holds or fails without an interval.
- A sentence with several parts fails if any part fails and holds if all parts hold.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal, NamedTuple

from pcpo.claims.estimate import Estimate
from pcpo.tables.matching import Match

JUDGED = HOLDS, FAILS, UNDECIDED = ("holds", "fails", "undecided")
NOT_RUN, NOT_MEASURED, NO_CLAIM = "not run at this scale", "not measured", "no claim"
LEDGER_VERDICTS = (*JUDGED, NOT_RUN)
CELL_VERDICTS = (*JUDGED, NOT_MEASURED, NO_CLAIM)

Direction = Literal["higher", "lower", "none"]
Band = tuple[float, float]
_DIRECTIONS: dict[int, Direction] = {1: "higher", -1: "lower"}


class Verdict(NamedTuple):
    """One of `JUDGED`, and the interval's reason where it is more than the sign (else "").

    `unmatched`: decided although something blocks it, because the effect has the deciding sign.
    """

    word: str
    because: str = ""
    unmatched: bool = False


def decide(found: Estimate, direction: Direction | None, between: Band | None = None) -> Verdict:
    """The rule above. Exact estimates take neither a direction nor a band."""
    side = found.side
    if found.blocked and (between is not None or side == 0 or side != found.decides):
        return Verdict(UNDECIDED)
    if found.exact is not None:
        verdict = Verdict(HOLDS if found.exact else FAILS)
    elif math.isnan(found.low) or math.isnan(found.high):
        verdict = Verdict(UNDECIDED, "no interval")
    elif between is not None:
        verdict = _in_band(found, between)
    elif side == 0:
        shows = ", which does not show that there is no effect" * (direction == "none")
        verdict = Verdict(UNDECIDED, f"the interval contains {found.null:g}{shows}")
    elif direction == "none":
        verdict = Verdict(FAILS, f"the interval excludes {found.null:g}")
    else:
        verdict = Verdict(HOLDS if direction == _DIRECTIONS[side] else FAILS)
    return verdict._replace(unmatched=bool(found.blocked))


def at_reward(found: Estimate, match: Match, metric: str) -> Estimate:
    """Block a difference in the quality `metric` between two checkpoints that do not match in
    reward, and set the sign that still decides, unless something else blocks it already.
    """
    if not match.why:
        return found
    blocked = "; ".join(filter(None, [match.why, found.blocked]))
    return replace(found, blocked=blocked, decides=0 if found.blocked else match.decides(metric))


def overall(verdicts: Iterable[str]) -> str:
    """The verdict of a sentence from the verdicts of its parts, all of `LEDGER_VERDICTS`."""
    found = list(verdicts)
    if FAILS in found:
        return FAILS
    if set(found) == {HOLDS}:
        return HOLDS
    return NOT_RUN if set(found) == {NOT_RUN} else UNDECIDED


def short(verdict: str) -> str:
    """Without the place: "not run" for "not run at this scale"."""
    return verdict.removesuffix(" at this scale")


def _in_band(found: Estimate, band: Band) -> Verdict:
    if band[0] <= found.low and found.high <= band[1]:
        return Verdict(HOLDS, "the interval lies within the band")
    if found.high < band[0] or found.low > band[1]:
        return Verdict(FAILS, "the interval lies outside the band")
    return Verdict(UNDECIDED, "the interval crosses the edge of the band")
