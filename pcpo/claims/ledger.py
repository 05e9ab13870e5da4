"""The ledger: every part of every claim, judged on this run's evidence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from pcpo.claims.claim import Claim, Part, arguments
from pcpo.claims.estimate import PROCEDURES, Estimate
from pcpo.claims.evidence import Evidence, NotRun
from pcpo.claims.verdict import Assertion, Verdict, decide_together, overall
from pcpo.claims.words import HOLDS, NOT_RUN
from pcpo.tables.labels import METRICS, SCORES

COLUMNS = ["id", "group", "claim", "source", "quantity", "setting", "estimate", "low", "high"]
COLUMNS += ["n", "p", "p_holm", "verdict", "why", "claim_id", "claim_verdict", "claimed", "kind"]
COLUMNS += ["judged_by", "primary", "test", "configurations", "paper", "remark"]

_NUMBERS = ("estimate", "low", "high", "p", "p_holm")
_DATASETS = {"coco": "COCO", "mjhq": "MJHQ", "pick_eval": "Pick-a-Pic"}


def evaluate(claims: Sequence[Claim], evidence: Evidence) -> pd.DataFrame:
    """The ledger: a row for every part, with `COLUMNS`.

    `verdict` is one of `LEDGER_VERDICTS`; `claim_verdict` is the verdict of the whole sentence.
    `claimed` is what is judged in the part: by its sentence, or by the paper's own table where that
    contradicts the sentence (`judged_by`: sentence or table). Parts judged by a table are shown
    beside the sentence and do not decide it. `estimate`, `low` and `high` are NaN where there are
    none.
    """
    rows = []
    known = {claim.id: claim for claim in claims}
    for claim in claims:
        parts = [*claim.parts()]
        found = [_measured(claim, part, evidence) for part in parts]
        if claim.only_where is not None:
            found = _where_it_holds(known[claim.only_where], parts, found, evidence)
        fixed = [_fixed(claim, part, evidence) for part in parts]
        verdicts = judge(claim, parts, found, evidence.scale)
        whole = overall(
            str(verdict["verdict"])
            for part, verdict in zip(parts, verdicts, strict=True)
            if part.id not in claim.contradicted
        )
        for row, verdict in zip(fixed, verdicts, strict=True):
            rows.append(row | verdict | {"claim_verdict": whole})
    return pd.DataFrame(rows, columns=COLUMNS)


def judge(
    claim: Claim, parts: Sequence[Part], found: Sequence[Estimate | str], scale: str
) -> list[dict[str, Any]]:
    """The cells of a sentence's parts that its estimates decide, from `estimate` to `why`.

    A text in place of an estimate says why there is none. The reason of a verdict has the test's
    reason first, then what the table shows against the sentence, what blocks, and the estimate's.
    """
    elsewhere = bool(claim.scales) and scale not in claim.scales
    measured = {p.id: e for p, e in zip(parts, found, strict=True) if isinstance(e, Estimate)}
    decided: dict[str, Verdict] = {}
    for by_table in (False, True):  # two statements, so that neither corrects the other
        ids = [name for name in measured if (name in claim.contradicted) == by_table]
        verdicts = decide_together([measured[i] for i in ids], [claim.assertion(i) for i in ids])
        decided |= dict(zip(ids, verdicts, strict=True))
    cells = []
    for part, one in zip(parts, found, strict=True):
        if isinstance(one, str):
            absent: dict[str, Any] = {"n": "", "verdict": NOT_RUN, "why": one}
            cells.append(absent | dict.fromkeys(_NUMBERS, math.nan))
            continue
        word, because, p, p_holm = decided[part.id]
        shown = claim.contradicted.get(part.id)
        table = f"judged on the paper's own table, which shows {shown.shows}" if shown else ""
        why = "; ".join(filter(None, [because, table, one.blocked, one.why]))
        if elsewhere:
            word, why = NOT_RUN, f"the number belongs to scale {' or '.join(claim.scales)}"
            p = p_holm = math.nan
        ends = {"estimate": one.value, "low": one.low, "high": one.high, "n": one.n}
        cells.append(ends | {"p": p, "p_holm": p_holm, "verdict": word, "why": why})
    return cells


def counted(ledger: pd.DataFrame) -> pd.DataFrame:
    """One row per claim that is counted: the empirical ones."""
    claims = ledger.drop_duplicates("claim_id")
    return claims[claims["kind"] == "empirical"]


def _fixed(claim: Claim, part: Part, evidence: Evidence) -> dict[str, Any]:
    """The cells of a part that do not depend on the run."""
    setting = _setting(part, evidence)
    return {
        "id": part.id,
        "group": claim.group,
        "claim": claim.sentence,
        "source": claim.source,
        "quantity": f"{claim.quantity}; {setting}",
        "setting": setting,
        "claim_id": claim.id,
        "claimed": _claimed(claim.assertion(part.id)),
        "kind": claim.kind,
        "judged_by": "table" if part.id in claim.contradicted else "sentence",
        "primary": claim.primary,
        "test": claim.test,
        "configurations": " ".join(map(str, part.configurations)),
        "paper": claim.paper,
        "remark": claim.remark,
    }


def _measured(claim: Claim, part: Part, evidence: Evidence) -> Estimate | str:
    """The estimate of a part, or why there is none."""
    procedure = PROCEDURES[claim.test]
    numbers = part.configurations if procedure.joint else part.configurations[0]
    try:
        return procedure.function(evidence, numbers, **arguments(claim.test, part.options))
    except ValueError as error:
        raise ValueError(f"claim '{part.id}': {error}") from error
    except NotRun as absent:
        return str(absent)


def _where_it_holds(
    condition: Claim, parts: Sequence[Part], found: Sequence[Estimate | str], evidence: Evidence
) -> list[Estimate | str]:
    """The estimates, blocked in configurations in which a part of `condition` does not hold."""
    own = [*condition.parts()]
    measured = [_measured(condition, part, evidence) for part in own]
    words: dict[tuple[int, ...], set[str]] = {}
    for part, cells in zip(own, judge(condition, own, measured, evidence.scale), strict=True):
        words.setdefault(part.configurations, set()).add(str(cells["verdict"]))
    judged = []
    for part, one in zip(parts, found, strict=True):
        others = words[part.configurations] - {HOLDS}
        if others and isinstance(one, Estimate):
            why = f"judged only where {condition.id} holds: {' or '.join(sorted(others))}"
            one = replace(one, blocked="; ".join(filter(None, [one.blocked, why])))
        judged.append(one)
    return judged


def _claimed(assertion: Assertion) -> str:
    if assertion.between is not None:
        return f"{assertion.between[0]:g} to {assertion.between[1]:g}"
    if assertion.direction == "none":
        if assertion.relative:
            run_by_run = ", run by run" if assertion.paired else ""
            share = f"{100 * assertion.margin:.3g} % of the reference value"
            return f"no effect above {share}{run_by_run}"
        return f"no effect above {assertion.margin:g}"
    return "true" if assertion.direction is None else str(assertion.direction)


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
