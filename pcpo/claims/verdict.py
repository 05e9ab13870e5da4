"""The one rule for verdicts on the paper's claims, in the ledger and in the paper's cells.

The unit of evidence is the training run. An estimate is a mean over pairs of runs, two arms of one
seed, with Student's t. A claim is a region of values (`Assertion`): above or below none, within a
margin about none, or a band.

One part of a sentence
- The estimate is tested against the nearest edge of the region (`pcpo.stats.region`). Inside at
  p < 0.05: holds. Outside at p < 0.05: fails. Else: undecided. So "no effect" holds where the
  interval lies within the margin and fails where it lies outside; an interval that merely contains
  none shows nothing. A claim of no effect has its margin in config/claims.yaml. A margin that is a
  share of the other arm's value is itself uncertain: `relative_margin` takes that value as known,
  `paired_margin` tests the share within each pair of runs (`pcpo.stats.region.share_test`).
- One run per arm: the interval has only the variation within that run, of epochs or prompts. It
  says nothing of another run, and the verdict is "one run", whatever the interval is.
- A statement that is checked row by row (`Estimate.exact`) is about the rows that there are. It
  holds or fails without an interval, and needs no second run.
- `Estimate.blocked`: something other than the claim may have caused the effect, mostly an unmatched
  reward. Undecided.
- `Estimate.censored`: a run ended before it reached the level. Its log ratio is then nearer to none
  than it may be, so that no region with two edges is shown to contain the effect. The difference of
  two such log ratios is blocked: a cut can enlarge it (`pcpo.claims.outcomes.larger_step`).

A sentence of several parts
- It fails if any part fails. There are as many chances to fail as parts, so the parts' p-values
  are corrected by Holm over the parts that were tested.
- It holds if all parts hold. All must, so that no correction is needed (intersection-union test,
  Berger, Technometrics 24, 1982): if every part lies inside at p < 0.05 by itself, all hold.
- Otherwise a part holds or fails where its corrected p is below 0.05.
If the truth is on the edge, each of "holds" and "fails" is the verdict of a sentence in at most
2.5 % of studies (tests/claims/test_calibration.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from pcpo.claims.estimate import Estimate
from pcpo.claims.words import FAILS, HOLDS, ONE_RUN, UNDECIDED
from pcpo.stats.holm import holm
from pcpo.stats.region import ALPHA, region_test, share_test

_SHOWN = ALPHA * (1 - 1e-9)  # an interval that touches an edge shows nothing, rounding aside

Direction = Literal["higher", "lower", "none"]
Band = tuple[float, float]


@dataclass(frozen=True)
class Assertion:
    """What is claimed of a quantity: a direction, or a band. Neither for exact estimates.

    `margin` is for the direction none, in the quantity's unit or, if `relative`, as a share of
    `Estimate.reference`; `paired`: the share is tested run by run, the reference varies too.
    """

    direction: Direction | None = None
    between: Band | None = None
    margin: float = math.nan
    relative: bool = False
    paired: bool = False

    def region(self, found: Estimate) -> Band:
        """The claimed values, in the quantity's unit; NaN where the margin is not known."""
        if self.between is not None:
            return self.between
        if self.direction == "none":
            margin = self.margin * abs(found.reference) if self.relative else self.margin
            return found.null - margin, found.null + margin
        ends = (found.null, math.inf) if self.direction == "higher" else (-math.inf, found.null)
        return ends


class Verdict(NamedTuple):
    """One of `words.JUDGED`, the reason where it is more than the sign (else ""), and the p-values.

    `p` is of the region's nearest edge, `p_holm` the same corrected within the sentence; NaN where
    nothing was tested.
    """

    word: str
    because: str = ""
    p: float = math.nan
    p_holm: float = math.nan


def decide(found: Estimate, assertion: Assertion) -> Verdict:
    """The rule above for a sentence of one part."""
    return decide_together([found], [assertion])[0]


def decide_together(parts: Sequence[Estimate], assertions: Sequence[Assertion]) -> list[Verdict]:
    """The rule above for the parts of one sentence."""
    found = [_alone(part, claimed) for part, claimed in zip(parts, assertions, strict=True)]
    if all(verdict.word == HOLDS for verdict in found):
        return [verdict._replace(p_holm=verdict.p) for verdict in found]
    corrected = holm([verdict.p for verdict in found])
    return [_corrected(verdict, p) for verdict, p in zip(found, corrected, strict=True)]


def at_reward(found: Estimate, unmatched: str) -> Estimate:
    """Block a difference in quality between checkpoints that do not match in reward.

    `unmatched` says why they do not (`pcpo.tables.matching.unmatched`); "" where they match.
    """
    blocked = "; ".join(filter(None, [unmatched, found.blocked]))
    return replace(found, blocked=blocked)


def overall(verdicts: Iterable[str]) -> str:
    """The verdict of a sentence from the verdicts of its parts, all of `LEDGER_VERDICTS`."""
    found = set(verdicts)
    if FAILS in found:
        return FAILS
    if len(found) == 1:
        return found.pop()
    return ONE_RUN if ONE_RUN in found and UNDECIDED not in found else UNDECIDED


def _alone(found: Estimate, claimed: Assertion) -> Verdict:
    """The verdict of a part by itself."""
    if found.exact is not None:
        return Verdict(UNDECIDED if found.blocked else HOLDS if found.exact else FAILS)
    if found.runs < 2:
        return Verdict(ONE_RUN)
    if found.blocked:
        return Verdict(UNDECIDED)
    if math.isnan(found.low) or math.isnan(found.high):
        return Verdict(UNDECIDED, "no interval")
    low, high = claimed.region(found)
    if math.isnan(low) or math.isnan(high):
        return Verdict(UNDECIDED, "no margin")
    two_edges = math.isfinite(low) and math.isfinite(high)
    if found.censored and two_edges:
        return Verdict(UNDECIDED, "a run ends below the level, which hides a difference")
    if claimed.paired:
        if len(found.pairs) < 2:
            return Verdict(UNDECIDED, "no reference of each run")
        differences, references = np.array(found.pairs).T
        within, p_share = share_test(differences, references, claimed.margin)
        side = "within" if within else "outside"
        because = f"the effect lies {side} {claimed.margin:.0%} of the reference, run by run"
        if p_share < _SHOWN:
            return Verdict(HOLDS if within else FAILS, because, p_share)
        return Verdict(UNDECIDED, f"not shown that {because}", p_share)
    edges = (found.tested(low), found.tested(high))
    inside, p = region_test(found.tested(found.value), found.error, found.df, *edges)
    where = f"{low:.3g} to {high:.3g}" if two_edges else f"{found.null:g}"
    if p < _SHOWN:
        side = "within" if inside else "outside"
        because = f"the interval lies {side} {where}" if two_edges else ""
        return Verdict(HOLDS if inside else FAILS, because, float(p))
    crosses = f"the interval is not clear of the edges of {where}"
    return Verdict(UNDECIDED, crosses if two_edges else f"the interval contains {where}", float(p))


def _corrected(found: Verdict, p: float) -> Verdict:
    if math.isnan(p) or found.word == UNDECIDED or p < _SHOWN:
        return found._replace(p_holm=p)
    because = f"p = {found.p:.2g} by itself, {p:.2g} after Holm's correction over the sentence"
    return Verdict(UNDECIDED, because, found.p, p)
