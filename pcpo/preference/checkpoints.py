"""Which checkpoints the study compares: PCPO's, and two of the baseline that bracket its reward.

The paper (B.3.3): PCPO at epoch 120 against the baseline at epoch 180 (lower reward) and 240
(higher reward). A run without these checkpoints takes PCPO's selected one, and the neighbouring
checkpoints of the baseline between which the reward on the study's own images crosses PCPO's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

PUBLISHED_PCPO = 120
PUBLISHED_BASELINE = (180, 240)
IMAGES_PER_PROMPT = 10


class Compared(NamedTuple):
    """Epochs of the compared checkpoints; `lower` and `higher` are the baseline's."""

    pcpo: int
    lower: int
    higher: int


def published(pcpo: Collection[int], baseline: Collection[int]) -> Compared | None:
    """The paper's epochs, if both runs saved checkpoints there."""
    if PUBLISHED_PCPO in pcpo and set(PUBLISHED_BASELINE) <= set(baseline):
        return Compared(PUBLISHED_PCPO, *PUBLISHED_BASELINE)
    return None


def bracket(
    epochs: Sequence[int], start: int, target: float, reward: Callable[[int], float]
) -> tuple[int, int]:
    """Neighbouring epochs of the baseline (lower, higher) between which `reward` crosses `target`.

    epochs: of its checkpoints. start: where the search begins. From there the checkpoints are
    measured forwards while the reward is below the target, backwards while it is not, to the first
    crossing. Without a crossing the last two that were measured are returned: then the pair does
    not bracket the target, and its rewards show that.

    Raises ValueError where there are fewer than two checkpoints.
    """
    known = sorted(epochs)
    if len(known) < 2:
        raise ValueError(
            f"the baseline has {len(known)} checkpoint; two that bracket PCPO's reward are needed: "
            "lower checkpoint_every of the configuration"
        )
    at = known.index(start)
    below = reward(start) < target
    step = 1 if below else -1
    while 0 <= at + step < len(known):
        at += step
        if (reward(known[at]) < target) != below:
            break
    else:  # an end of the run: the two outermost checkpoints there
        at = len(known) - 1 if below else 0
    pair = (known[at - step], known[at])
    lower, higher = sorted(pair, key=lambda epoch: (reward(epoch), epoch))
    return lower, higher
