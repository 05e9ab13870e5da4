"""The ledger as one table of a page: a row per sentence, with the estimates of all its settings."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pcpo.markdown import escaped, without_html
from pcpo.report.ledger import JudgedClaim, JudgedPart
from pcpo.report.numbers import measure

HEAD = ("claim", "configuration: estimate (95 % interval)", "runs per arm", "verdict")
_RUNS = r"(\d+) runs? per arm"
_MARKED = {"holds": "**holds**", "fails": "**fails**"}


def to_table(claims: Iterable[JudgedClaim]) -> str:
    """Markdown. A setting whose verdict is not that of the sentence has its own beside it."""
    lines = [_row(HEAD), _row([":--"] * len(HEAD))]
    for claim in claims:
        parts = claim.of_sentence
        about = f"`{claim.id}`: {escaped(claim.quantity)}; claimed: {escaped(claim.claimed)}"
        runs = {int(n[1]) for part in parts if (n := re.fullmatch(_RUNS, part.n))}
        settings = "; ".join(_setting(part, claim.kind) for part in parts)
        lines.append(
            _row([about, settings, ", ".join(map(str, sorted(runs))), _marked(claim.kind)])
        )
    return "\n".join(map(without_html, lines)) + "\n"


def _setting(part: JudgedPart, whole: str) -> str:
    """Its configurations as numbers alone, the estimate, and the verdict where it is another."""
    where = re.sub(r"(?:configuration )?(\d+) \([^)]*\)", r"\1", part.setting)
    found = measure(part.estimate)
    if part.bounded:
        found += f" ({measure(part.low)} to {measure(part.high)})"
    other = "" if part.kind == whole else f" {_marked(part.kind)}"
    return f"{escaped(where)}: {found}{other}"


def _marked(kind: str) -> str:
    return _MARKED.get(kind, kind)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
