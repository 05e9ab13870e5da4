"""The analysis of a study as a page of Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable

from pcpo.preference.analysis import (
    MOST_MISSED,
    Rate,
    agreement,
    bradley_terry,
    by_device,
    quality,
    win_rates,
)
from pcpo.preference.frame import Study
from pcpo.preference.pairs import Key, rewards
from pcpo.preference.questions import COMPARISONS, QUESTIONS

_OF = {"lower_reward": "lower reward", "higher_reward": "higher reward", "pcpo": "PCPO"}


def to_markdown(study: Study) -> str:
    """All results of a study; the first line says whether people answered."""
    frame, key = study.frame, study.key
    who = "people" if study.people else "SIMULATED raters: these are not people"
    lines = [f"# Preference study of {key.experiment}, scale {key.scale}: answers of {who}", ""]
    lines += [*_checkpoints(key), ""]
    if frame.empty:
        return "\n".join([*lines, "No answers yet.", ""])
    lines += ["## Share of answers that prefer PCPO", ""]
    lines += _table(
        ["against", "category", "wins", "ties", "losses", "share", "95 % interval", "raters",
         "prompts", "exact binomial p", "p, Holm"],
        (
            [_OF[row.comparison], row.category, row.wins, row.ties, row.losses,
             _number(row.rate.share), _interval(row.rate.low, row.rate.high), row.rate.raters,
             row.rate.prompts, _p(row.binomial_p), _p(row.holm_p)]
            for row in win_rates(frame)
        ),
    )  # fmt: skip
    lines += [
        "", "The interval is robust to clusters of raters and of prompts; a tie is half an answer "
        "for each. The binomial test leaves ties out and takes all answers for independent: it is "
        "a check, not the result.", "", "## Phones and desktops", "",
    ]  # fmt: skip
    lines += _table(
        ["category", "phone", "desktop", "desktop less phone", "95 % interval"],
        (
            [row.category, _rate(row.phone), _rate(row.desktop), _number(row.difference),
             _interval(row.low, row.high)]
            for row in by_device(frame)
        ),
    )  # fmt: skip
    lines += ["", "## Bradley-Terry strengths (log-odds; PCPO is 0)", ""]
    lines += _table(
        ["category", *(f"baseline, {_OF[c]}" for c in COMPARISONS)],
        (
            [category, *(f"{_number(s.value)} ± {_number(s.error)}"
                         for s in bradley_terry(frame, category))]
            for category in QUESTIONS
        ),
    )  # fmt: skip
    lines += ["", "± is one standard error, robust to raters.", "", "## Agreement and care", ""]
    alphas = {category: agreement(frame, category) for category in QUESTIONS}
    lines += _table(
        ["category", "Krippendorff's alpha", "pairs with two answers or more"],
        ([category, _number(alpha), pairs] for category, (alpha, pairs) in alphas.items()),
    )
    found = quality(frame)
    lines += [
        "",
        f"{found.raters} raters, of whom {found.left_out} missed more than {MOST_MISSED:.0%} of "
        "their attention checks and are left out everywhere above. "
        f"The image on the left was preferred in {_number(found.left)} of the answers "
        f"(exact p {_p(found.left_p)}); PCPO's was on the left in {_number(found.pcpo_left)} of "
        f"the questions. Of {found.repeated} pairs that came twice, {_number(found.consistent)} "
        f"had the same answer. Median time per pair: {_number(found.seconds)} s.",
        "",
    ]
    return "\n".join(lines)


def _checkpoints(key: Key) -> list[str]:
    """Which checkpoints were shown, and whether the baseline's bracket PCPO's reward."""
    lines = _table(
        ["training seed", "checkpoint", "epoch", "mean reward on these images", "images"],
        (
            [c.seed, "PCPO" if c.arm == "pcpo" else f"baseline, {_OF[c.role]}", c.epoch,
             f"{c.reward:.4g}", c.images]
            for c in key.checkpoints
        ),
    )  # fmt: skip
    return [*lines, "", bracketing(key)]


def bracketing(key: Key) -> str:
    """One sentence: whether PCPO's reward lies between those of the baseline's checkpoints."""
    found = rewards(key.checkpoints)
    if not {"pcpo", *COMPARISONS} <= set(found):
        return "The key names no rewards of all checkpoints."
    inside = found["lower_reward"] <= found["pcpo"] <= found["higher_reward"]
    return (
        "The baseline's two checkpoints bracket PCPO's reward."
        if inside
        else "The baseline's two checkpoints do NOT bracket PCPO's reward on these images."
    )


def _table(head: list[str], rows: Iterable[Iterable[object]]) -> list[str]:
    marks = [":--" if place == 0 else "--:" for place in range(len(head))]
    return [f"| {' | '.join(map(str, cells))} |" for cells in (head, marks, *rows)]


def _rate(one: Rate) -> str:
    if not one.answers:
        return "no answers"
    return f"{_number(one.share)} ({_interval(one.low, one.high)}), {one.raters} raters"


def _interval(low: float, high: float) -> str:
    return "" if math.isnan(low) or math.isnan(high) else f"{low:.3f} to {high:.3f}"


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3g}"


def _p(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2g}"
