"""Row labels of the paper's tables, as ours have them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_ARMS = {"Base Model": "base", "Baseline": "baseline", "DanceGRPO": "baseline", "PCPO": "pcpo"}


def of_arms(groups: pd.Series, methods: pd.Series) -> pd.Series:
    """`FLUX pcpo` of the group FLUX and the paper's method PCPO."""
    return joined(groups, methods.map(_ARMS))


def joined(*columns: pd.Series) -> pd.Series:
    first, *others = columns
    for other in others:
        first = first + " " + other
    return first


def numbered(numbers: Iterable[int]) -> list[str]:
    return [f"configuration {number}" for number in numbers]
