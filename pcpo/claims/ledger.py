"""Verdicts: every part of every claim on this run's evidence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from pcpo.claims.claim import Claim, Part, arguments
from pcpo.claims.estimate import PROCEDURES, Estimate
from pcpo.claims.evidence import Evidence, NotRun
from pcpo.tables.labels import METRICS, SCORES

HOLDS, FAILS, UNDECIDED, NOT_RUN = "holds", "fails", "undecided", "not run at this scale"
VERDICTS = (HOLDS, FAILS, UNDECIDED, NOT_RUN)

COLUMNS = ["id", "group", "claim", "source", "quantity", "setting", "estimate", "low", "high"]
COLUMNS += ["n", "verdict", "why", "claim_id", "claim_verdict", "claimed", "test"]
COLUMNS += ["configurations", "paper", "remark"]

_DATASETS = {"coco": "COCO", "mjhq": "MJHQ", "pick_eval": "Pick-a-Pic"}


def evaluate(claims: Sequence[Claim], evidence: Evidence) -> pd.DataFrame:
    """The ledger: a row for every part, with `COLUMNS`.

    `verdict` is one of `VERDICTS`; `claim_verdict` that of the whole sentence. `estimate`, `low`
    and `high` are NaN where there are none.
    """
    rows = []
    for claim in claims:
        parts = [_row(claim, part, evidence) for part in claim.parts()]
        whole = overall(row["verdict"] for row in parts)
        rows += [row | {"claim_verdict": whole} for row in parts]
    return pd.DataFrame(rows, columns=COLUMNS)


def overall(verdicts: Iterable[str]) -> str:
    """The verdict of a sentence: it fails with any of its parts and holds with all of them."""
    found = list(verdicts)
    if FAILS in found:
        return FAILS
    if set(found) == {HOLDS}:
        return HOLDS
    return NOT_RUN if set(found) == {NOT_RUN} else UNDECIDED


def decide(claim: Claim, estimate: Estimate) -> tuple[str, str]:
    """Verdict and reason. It holds or fails only where the interval says so, or exactly."""
    low, high, null = estimate.low, estimate.high, estimate.null
    side = int(low > null) - int(high < null)
    why = _and(estimate.blocked, estimate.why)
    if estimate.blocked:
        if claim.between is not None or side == 0 or side != estimate.decides:
            return UNDECIDED, why
        why = _and("though unmatched: the difference in reward is against it", why)
    if estimate.exact is not None:
        return HOLDS if estimate.exact else FAILS, why
    if math.isnan(low) or math.isnan(high):
        return UNDECIDED, "; ".join(filter(None, ["no interval", why]))
    if claim.between is not None:
        band_low, band_high = claim.between
        if band_low <= low and high <= band_high:
            return HOLDS, _and("the interval lies within the band", why)
        if high < band_low or low > band_high:
            return FAILS, _and("the interval lies outside the band", why)
        return UNDECIDED, _and("the interval crosses the edge of the band", why)
    if side == 0:
        shows = ", which does not show that there is no effect" * (claim.direction == "none")
        return UNDECIDED, _and(f"the interval contains {null:g}{shows}", why)
    if claim.direction == "none":
        return FAILS, _and(f"the interval excludes {null:g}", why)
    return HOLDS if side == (1 if claim.direction == "higher" else -1) else FAILS, why


def _row(claim: Claim, part: Part, evidence: Evidence) -> dict[str, Any]:
    procedure = PROCEDURES[claim.test]
    setting = _setting(part, evidence)
    row: dict[str, Any] = {
        "id": part.id,
        "group": claim.group,
        "claim": claim.sentence,
        "source": claim.source,
        "quantity": f"{claim.quantity}; {setting}",
        "setting": setting,
        "claim_id": claim.id,
        "claimed": _claimed(claim),
        "test": claim.test,
        "configurations": " ".join(map(str, part.configurations)),
        "paper": claim.paper,
        "remark": claim.remark,
    }
    numbers = part.configurations if procedure.joint else part.configurations[0]
    try:
        found = procedure.function(evidence, numbers, **arguments(claim.test, part.options))
    except ValueError as error:
        raise ValueError(f"claim '{part.id}': {error}") from error
    except NotRun as absent:
        nothing = dict.fromkeys(("estimate", "low", "high"), math.nan)
        return row | nothing | {"n": "", "verdict": NOT_RUN, "why": str(absent)}
    verdict, why = decide(claim, found)
    if claim.scales and evidence.scale not in claim.scales:
        verdict, why = NOT_RUN, f"the number belongs to scale {' or '.join(claim.scales)}"
    row |= {"estimate": found.value, "low": found.low, "high": found.high, "n": found.n}
    return row | {"verdict": verdict, "why": why}


def _claimed(claim: Claim) -> str:
    if claim.between is not None:
        return f"{claim.between[0]:g} to {claim.between[1]:g}"
    return {"none": "no effect", None: "true"}.get(claim.direction, str(claim.direction))


def _setting(part: Part, evidence: Evidence) -> str:
    """E.g. configuration 2 (DDPO Aes), COCO, ImageReward."""
    known = evidence.experiments
    names = [
        f"{number} ({known[number].description})" if number in known else str(number)
        for number in part.configurations
    ]
    words = [f"configuration {' and '.join(names)}"]
    for value in part.varied.values():
        if isinstance(value, list | tuple):
            words.append(" against ".join(map(str, value)))
        else:
            text = str(value)
            words.append(_DATASETS.get(text) or METRICS.get(text) or SCORES.get(text) or text)
    return ", ".join(words)


def _and(first: str, why: str) -> str:
    return "; ".join(filter(None, [first, why]))
