"""The frame `preference` of a study: its answers, and what the key says of each pair."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from pcpo.preference.answers import Row, read_answers
from pcpo.preference.pairs import Key, Whose, read_key
from pcpo.records import frame_file, frames


class Study(NamedTuple):
    """A study's answers as a frame (`frames.PREFERENCE`), and the key of its pairs.

    people: whether people answered. Answers of simulated raters are never counted as such.
    """

    frame: pd.DataFrame
    key: Key
    people: bool


def read_study(answers: Path, key: Path) -> Study:
    """Read the answers and open the key: a file, or the folder of keys.

    Raises FileNotFoundError or ValueError, which name the file, if they do not belong together.
    """
    about, rows = read_answers(answers)
    opened = read_key(key, about.get("pool", ""), about.get("pairs", ""))
    if unknown := [row.pair for row in rows if row.pair not in opened.pairs]:
        raise ValueError(f"{answers}: the pair {unknown[0]!r} is not in the key")
    return Study(_frame(rows, opened), opened, about.get("origin") == "people")


def _frame(rows: list[Row], key: Key) -> pd.DataFrame:
    sessions = {s: n for n, s in enumerate(dict.fromkeys(row.session for row in rows), 1)}
    table = [
        {
            "experiment": key.experiment,
            "rater": sessions[row.session],
            "device": row.device,
            "position": row.position,
            "kind": row.kind,
            "category": row.category,
            "comparison": whose.comparison,
            "seed": whose.seed,
            "pcpo_epoch": whose.pcpo_epoch,
            "baseline_epoch": whose.baseline_epoch,
            "prompt_id": whose.prompt_id,
            "image_seed": whose.image_seed,
            "side": _side(row, whose),
            "preferred": _preferred(row, whose),
            "seconds": row.seconds,
        }
        for row in rows
        for whose in [key.pairs[row.pair]]
    ]
    return frame_file.of_rows(table, frames.PREFERENCE)


_OTHER = {"pcpo": "baseline", "baseline": "pcpo", "intact": "damaged", "damaged": "intact"}
_WANTED = ("pcpo", "intact")


def _on_the_left(row: Row, whose: Whose) -> str:
    return _OTHER[whose.first] if row.flipped else whose.first


def _side(row: Row, whose: Whose) -> str:
    return "left" if _on_the_left(row, whose) in _WANTED else "right"


def _preferred(row: Row, whose: Whose) -> str:
    left = _on_the_left(row, whose)
    return {"left": left, "right": _OTHER[left], "tie": "tie"}[row.choice]
