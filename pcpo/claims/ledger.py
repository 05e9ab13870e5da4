"""The ledger: every part of every claim, judged on this run's evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from pcpo.claims.claim import Claim, Part, arguments
from pcpo.claims.estimate import PROCEDURES, Estimate
from pcpo.claims.evidence import Evidence, NotRun
from pcpo.claims.verdict import NOT_RUN, decide, overall
from pcpo.tables.labels import METRICS, SCORES

COLUMNS = ["id", "group", "claim", "source", "quantity", "setting", "estimate", "low", "high"]
COLUMNS += ["n", "verdict", "why", "claim_id", "claim_verdict", "claimed", "test"]
COLUMNS += ["configurations", "paper", "remark"]

_DATASETS = {"coco": "COCO", "mjhq": "MJHQ", "pick_eval": "Pick-a-Pic"}


def evaluate(claims: Sequence[Claim], evidence: Evidence) -> pd.DataFrame:
    """The ledger: a row for every part, with `COLUMNS`.

    `verdict` is one of `LEDGER_VERDICTS`; `claim_verdict` is the verdict of the whole sentence.
    `estimate`, `low` and `high` are NaN where there are none.
    """
    rows = []
    for claim in claims:
        parts = [_row(claim, part, evidence) for part in claim.parts()]
        whole = overall(row["verdict"] for row in parts)
        rows += [row | {"claim_verdict": whole} for row in parts]
    return pd.DataFrame(rows, columns=COLUMNS)


def judge(claim: Claim, found: Estimate) -> tuple[str, str]:
    """Verdict and reason of one part: first the interval's reason, then the estimate's."""
    word, because, unmatched = decide(found, claim.direction, claim.between)
    though = "though unmatched: the difference in reward is against it" if unmatched else ""
    return word, "; ".join(filter(None, [because, though, found.blocked, found.why]))


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
    verdict, why = judge(claim, found)
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
