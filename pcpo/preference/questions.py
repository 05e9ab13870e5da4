"""What raters are asked. The paper has "all categories" and does not name them; these are ours."""

from __future__ import annotations

from typing import Literal

Category = Literal["overall", "quality", "alignment"]
# Category -> the question, in the order of the page.
QUESTIONS: dict[Category, str] = {
    "overall": "Overall, which image do you prefer?",
    "quality": "Which image has the better quality?",
    "alignment": "Which image fits the description better?",
}

# The baseline's checkpoint, by its reward against that of PCPO's checkpoint.
Comparison = Literal["lower_reward", "higher_reward"]
COMPARISONS: tuple[Comparison, Comparison] = ("lower_reward", "higher_reward")

# pair: of the pool. repeat: an earlier pair again, with its sides exchanged. check: an image beside
# a damaged copy of itself.
Kind = Literal["pair", "repeat", "check"]

Device = Literal["phone", "tablet", "desktop"]
DEVICES: tuple[Device, Device, Device] = ("phone", "tablet", "desktop")

Side = Literal["left", "right"]
Choice = Literal["left", "right", "tie"]
