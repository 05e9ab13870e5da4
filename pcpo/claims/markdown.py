"""The ledger as a page: a line per sentence, its parts below."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from pcpo.claims.ledger import counted
from pcpo.claims.words import FAILS, HOLDS, LEDGER_VERDICTS, NOT_RUN, OURS, short
from pcpo.markdown import without_html

_OTHERS = {
    "algebra": "about the schedule of weights alone, which no training can change",
    "convention": "that repeat a claim by another definition",
}
_SHOWN = {HOLDS: "**holds**", FAILS: "**fails**", NOT_RUN: "*not run*"}


def to_markdown(ledger: pd.DataFrame, scale: str, note: str = "") -> str:
    """`ledger` is the result of `evaluate`; `note` is the scale's own sentence (`Scale.note`)."""
    claims = counted(ledger)
    counts = claims["claim_verdict"].value_counts()
    own = set(ledger["source"]) == {OURS}
    title, noun = ("Our own questions", "questions") if own else ("What the paper claims", "claims")
    lines = [f"# {title}, at scale {scale}", ""]
    lines += [f"{_sentence(note)}", ""] if note else []
    lines += [
        _row([f"of {len(claims)} empirical {noun}", *LEDGER_VERDICTS]),
        _row([":--", *["--:"] * len(LEDGER_VERDICTS)]),
        _row(["", *(str(counts.get(verdict, 0)) for verdict in LEDGER_VERDICTS)]),
        "",
        *_others(ledger),
        "*holds*: in every setting that is listed the estimate lies on the claimed side, by a test "
        "over training runs at 5 %; or the statement is exactly true. *fails*: in one of them it "
        "lies on the other side, after Holm's correction over the settings. *undecided*: neither, "
        "or the checkpoints do not match in reward. A setting in which a table of the paper "
        "contradicts the sentence is judged on the table and does not decide the sentence. "
        "*one run*: there is one training run per arm, "
        "and an interval within it says nothing of another run.",
        "",
    ]
    for group, of_group in ledger.groupby("group", sort=False):
        lines += [f"## {group}", "", _row(["Verdict", "Question" if own else "The paper", "Here"])]
        lines.append(_row([":--", ":--", ":--"]))
        for claim, parts in of_group.groupby("claim_id", sort=False):
            first = parts.iloc[0]
            says = first["claim"] if own else f"{first['claim']} ({first['source']})"
            lines.append(_row([_shown(first["claim_verdict"]), says, _here(str(claim), parts)]))
        lines.append("")
    lines += ["# In each setting", ""]
    for claim, parts in ledger.groupby("claim_id", sort=False):
        lines += _details(str(claim), parts)
    return "\n".join(map(without_html, lines)).rstrip() + "\n"


def _others(ledger: pd.DataFrame) -> list[str]:
    """What is judged beside the empirical claims and not counted with them."""
    claims = ledger.drop_duplicates("claim_id")
    sentences = []
    for kind, what in _OTHERS.items():
        words = claims.loc[claims["kind"] == kind, "claim_verdict"].value_counts()
        if len(words):
            each = ", ".join(f"{words[v]} {short(v)}" for v in LEDGER_VERDICTS if v in words)
            sentences.append(f"{words.sum()} {what}: {each}.")
    return [f"Not counted: {' '.join(sentences)}", ""] if sentences else []


def _here(claim: str, parts: pd.DataFrame) -> str:
    """The estimate of a single part; for several parts their number by verdict, those that a table
    of the paper contradicts apart.
    """
    link = f"[more](#{claim})"
    if len(parts) == 1:
        part = parts.iloc[0]
        reason = str(part["why"]).split("; ")[0]
        decided = part["verdict"] in (HOLDS, FAILS) and not math.isnan(part["low"])
        texts = [_estimate(part), "" if decided else reason]
        return f"{': '.join(filter(None, texts))}. {link}"
    by_table = parts["judged_by"] == "table"
    texts = [f"of {(~by_table).sum()} settings: {_shares(parts[~by_table])}"]
    if by_table.any():
        texts.append(f"beside them, by the paper's own table: {_shares(parts[by_table])}")
    return f"{'; '.join(texts)}. {link}"


def _shares(parts: pd.DataFrame) -> str:
    counts = parts["verdict"].value_counts()
    return ", ".join(f"{short(v)} {counts[v]}" for v in LEDGER_VERDICTS if v in counts)


def _details(claim: str, parts: pd.DataFrame) -> list[str]:
    first = parts[parts["judged_by"] == "sentence"].iloc[0]
    quantity = first["quantity"].removesuffix(f"; {first['setting']}")
    source = "" if first["source"] == OURS else f" {first['source']}."
    lines = [f"### {claim}", "", f"{_sentence(first['claim'])}{source}", ""]
    about = f"{quantity[:1].upper()}{quantity[1:]}; claimed: {first['claimed']}."
    about += f" In the paper: {_sentence(first['paper'])}" if first["paper"] else ""
    about += f" {_sentence(first['remark'])}" if first["remark"] else ""
    about += " A primary outcome." if first["primary"] else ""
    lines += [about, "", _row(["Verdict", "Setting", "Estimate", "95 % interval", "n", "Why"])]
    lines.append(_row([":--", ":--", "--:", "--:", "--:", ":--"]))
    for _, part in parts.iterrows():
        cells = [_shown(part["verdict"]), part["setting"], number(part["estimate"])]
        lines.append(_row([*cells, _interval(part), part["n"], part["why"]]))
    return [*lines, ""]


def _estimate(part: pd.Series) -> str:
    interval = _interval(part)
    return number(part["estimate"]) + (f" ({interval})" if interval else "")


def _interval(part: pd.Series) -> str:
    if math.isnan(part["low"]) or math.isnan(part["high"]):
        return ""
    return f"{number(part['low'])} to {number(part['high'])}"


def number(value: float) -> str:
    """Three significant digits; more where they distinguish a value from 1."""
    if math.isnan(value):
        return ""
    if value != 1 and abs(value - 1) < 0.05:
        return f"{value:.6f}" if abs(value - 1) < 5e-4 else f"{value:.4f}"
    return f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def _shown(verdict: str) -> str:
    return _SHOWN.get(verdict, verdict)


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "?", "!", '."')) else f"{text}."


def _row(cells: list[Any]) -> str:
    return "| " + " | ".join(str(cell).replace("|", r"\|") for cell in cells) + " |"
