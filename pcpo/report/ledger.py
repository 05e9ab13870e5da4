"""The claims ledger, results/<scale>/claims.csv: each claim, its parts, their verdicts."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from pcpo.claims.words import LEDGER_VERDICTS, Kind, short
from pcpo.report.files import number, read_rows

_OF_CLAIM = ("group", "claim", "source", "paper", "remark", "kind", "primary")
_OF_PART = ("id", "quantity", "setting", "n", "verdict", "why", "claimed", "judged_by")
_NUMBERS = ("estimate", "low", "high")
_WORDS = {
    "kind": get_args(Kind),
    "primary": ("True", "False"),
    "judged_by": ("sentence", "table"),
}
COLUMNS = ("claim_id", "claim_verdict", *_OF_CLAIM, *_OF_PART, *_NUMBERS)


@dataclass(frozen=True)
class JudgedPart:
    """One estimate and its verdict: a claim in one setting. NaN: no such number.

    `by_table`: judged on a table of the paper that contradicts the sentence, and shown beside it.
    """

    id: str
    setting: str
    n: str
    verdict: str
    why: str
    claimed: str
    by_table: bool
    estimate: float
    low: float
    high: float

    @property
    def kind(self) -> str:
        return short(self.verdict)

    @property
    def bounded(self) -> bool:
        return not (math.isnan(self.low) or math.isnan(self.high))


@dataclass(frozen=True)
class JudgedClaim:
    """One sentence of the paper; `kind` is the verdict over all its parts.

    `nature` is empirical, algebra or convention (`pcpo.claims.words.Kind`): only the first is
    counted. `primary`: judged on a primary outcome.
    """

    id: str
    verdict: str
    group: str
    claim: str
    source: str
    claimed: str
    paper: str
    remark: str
    nature: str
    primary: bool
    quantity: str
    parts: tuple[JudgedPart, ...]

    @property
    def kind(self) -> str:
        return short(self.verdict)

    @property
    def anchor(self) -> str:
        return anchor(self.id)

    @property
    def counts(self) -> dict[str, int]:
        """Number of the sentence's parts by kind of verdict, only kinds that occur."""
        return {word: count for word, count in counts(self.of_sentence).items() if count}

    @property
    def of_sentence(self) -> list[JudgedPart]:
        return [part for part in self.parts if not part.by_table]


def read_ledger(path: Path) -> list[JudgedClaim]:
    """The claims in the file's order, each with its parts.

    Raises ValueError with the file's name for a missing column, an unknown verdict, a repeated id,
    an interval whose ends are reversed, and parts that disagree about their claim.
    """
    frame = read_rows(path, COLUMNS)
    claims: dict[str, tuple[dict[str, str], str, list[JudgedPart]]] = {}
    seen: set[str] = set()
    for n, record in enumerate(frame.to_dict("records"), 1):
        cells = {str(key): str(value) for key, value in record.items()}
        part, quantity = _part(cells, path, n)
        name = cells["claim_id"]
        if not part.id or anchor(part.id) in seen or not name:
            raise ValueError(f"{path}: row {n}, id: '{part.id}' is empty or occurs twice")
        seen.add(anchor(part.id))
        _check_verdict(cells["claim_verdict"], path, n, "claim_verdict")
        whole = {column: cells[column] for column in _OF_CLAIM}
        whole |= {"id": name, "verdict": cells["claim_verdict"]}
        for column, known_values in _WORDS.items():
            if cells[column] not in known_values:
                raise ValueError(
                    f"{path}: row {n}, {column}: '{cells[column]}' is unknown; "
                    f"known: {', '.join(known_values)}"
                )
        known, _, parts = claims.setdefault(name, (whole, quantity, []))
        if known != whole:
            other = next(key for key in whole if known[key] != whole[key])
            raise ValueError(f"{path}: row {n}: the rows of claim '{name}' differ in its {other}")
        parts.append(part)
    return [_claim(*known) for known in claims.values()]


def _claim(cells: dict[str, str], quantity: str, parts: list[JudgedPart]) -> JudgedClaim:
    texts = {key: value for key, value in cells.items() if key not in _WORDS}
    return JudgedClaim(
        **texts,
        nature=cells["kind"],
        primary=cells["primary"] == "True",
        quantity=quantity,
        claimed=next((part.claimed for part in parts if not part.by_table), ""),
        parts=tuple(parts),
    )


def empirical(claims: Iterable[JudgedClaim]) -> list[JudgedClaim]:
    """The claims that are counted."""
    return [claim for claim in claims if claim.nature == "empirical"]


def grouped(claims: Iterable[JudgedClaim]) -> dict[str, list[JudgedClaim]]:
    """Claims by group, groups in the order of their first claim."""
    groups: dict[str, list[JudgedClaim]] = {}
    for claim in claims:
        groups.setdefault(claim.group, []).append(claim)
    return groups


def counts(judged: Iterable[JudgedClaim | JudgedPart]) -> dict[str, int]:
    """Number of claims or parts by kind of verdict, all kinds."""
    found = Counter(one.kind for one in judged)
    return {word: found[word] for word in map(short, LEDGER_VERDICTS)}


def anchor(name: str) -> str:
    """Anchor of a claim or a part in the page."""
    return "claim-" + re.sub(r"[^\w.+-]+", "-", name)


def _part(cells: dict[str, str], path: Path, n: int) -> tuple[JudgedPart, str]:
    """A row's part, and its quantity without the setting at the end."""
    values = {column: number(cells[column], path, n, column) for column in _NUMBERS}
    _check_verdict(cells["verdict"], path, n, "verdict")
    if values["low"] > values["high"]:
        raise ValueError(
            f"{path}: row {n}: low {values['low']} lies above high {values['high']}; make it again"
        )
    part = JudgedPart(
        id=cells["id"],
        setting=cells["setting"],
        n=cells["n"],
        verdict=cells["verdict"],
        why=cells["why"],
        claimed=cells["claimed"],
        by_table=cells["judged_by"] == "table",
        estimate=values["estimate"],
        low=values["low"],
        high=values["high"],
    )
    return part, cells["quantity"].removesuffix(f"; {part.setting}")


def _check_verdict(verdict: str, path: Path, n: int, column: str) -> None:
    if verdict not in LEDGER_VERDICTS:
        known = ", ".join(LEDGER_VERDICTS)
        raise ValueError(f"{path}: row {n}, {column}: '{verdict}' is unknown; known: {known}")
