"""The ledger as one table of a page: a row per sentence that ran, with its settings."""

from __future__ import annotations

import re
from collections.abc import Iterable

from pcpo.claims.words import NOT_RUN, short
from pcpo.markdown import escaped, without_html
from pcpo.report.ledger import JudgedClaim, JudgedPart
from pcpo.report.numbers import measure

HEAD = ("claim", "configuration: estimate (95 % interval)", "runs per arm", "verdict")
_RUNS = r"(\d+) runs? per arm"
_MARKED = {"holds": "**holds**", "fails": "**fails**"}


def to_table(claims: Iterable[JudgedClaim]) -> str:
    """Markdown. A setting whose verdict is not that of the sentence has its own beside it.

    Sentences that did not run are named below the table, settings that did not at a row's end.
    """
    lines, absent = [_row(HEAD), _row([":--"] * len(HEAD))], []
    for claim in claims:
        if claim.verdict == NOT_RUN:
            absent.append(f"`{claim.id}`")
            continue
        about = f"`{claim.id}`: {escaped(claim.quantity)}; claimed: {escaped(claim.claimed)}"
        ran = [part for part in claim.of_sentence if part.verdict != NOT_RUN]
        settings = [_setting(part, claim.kind) for part in ran]
        others = [_where(part) for part in claim.of_sentence if part.verdict == NOT_RUN]
        if others:
            settings.append(f"{short(NOT_RUN)}: {'; '.join(others)}")
        runs = {int(n[1]) for part in ran if (n := re.fullmatch(_RUNS, part.n))}
        cells = about, "; ".join(settings), ", ".join(map(str, sorted(runs))), _marked(claim.kind)
        lines.append(_row(cells))
    if absent:
        lines += ["", f"Not run at this scale: {', '.join(absent)}."]
    return "\n".join(map(without_html, lines)) + "\n"


def _where(part: JudgedPart) -> str:
    """A setting, its configurations as numbers alone."""
    return escaped(re.sub(r"(?:configuration )?(\d+) \([^)]*\)", r"\1", part.setting))


def _setting(part: JudgedPart, whole: str) -> str:
    """Where, the estimate, and the verdict if it is another."""
    found = measure(part.estimate)
    if part.bounded:
        found += f" ({measure(part.low)} to {measure(part.high)})"
    other = "" if part.kind == whole else f" {_marked(part.kind)}"
    return f"{_where(part)}: {found}{other}"


def _marked(kind: str) -> str:
    return _MARKED.get(kind, kind)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
