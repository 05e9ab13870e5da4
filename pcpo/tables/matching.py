"""Whether compared checkpoints have one reward, and what can be said where they do not.

Training on for reward typically costs image quality. So an arm that has the higher reward and the
better quality would be better at one reward too (thus the paper argues for DanceGRPO, Sec. 3.2:
"the comparison was handicapped"), and one that has the lower reward and the worse quality would be
worse. The other two outcomes say nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

BETTER = {"fid": -1, "fd_dinov2": -1, "is_star": -1, "lpips_diversity": 1}  # sign of better quality


class Match(NamedTuple):
    """`side`: 1 where the arm has the higher reward, -1 the lower, 0 where that is not known.

    `why` is empty where the rewards match.
    """

    why: str
    side: int

    def decides(self, metric: str) -> int:
        """The sign of a difference in quality that holds at one reward too; 0 if neither does."""
        return BETTER[metric] * self.side


MATCHED = Match("", 0)


def reward_match(selection: pd.DataFrame, experiments: Sequence[str], arm: str = "pcpo") -> Match:
    """How the checkpoints of `arm` stand to the baseline's, over experiments and training seeds.

    selection: `frames.SELECTION`. The side is known where the baseline reached its level and every
    pair that does not match differs in the same direction.
    """
    rows = selection[selection["experiment"].isin(list(experiments))]
    own = rows[rows["arm"] == arm]
    bad = own[~own["matched"].astype(bool)]
    if bad.empty:
        return MATCHED
    reached = rows[rows["arm"] == "baseline"].set_index(["experiment", "seed"])["level_reached"]
    keys = bad.set_index(["experiment", "seed"]).index
    signs = set(np.sign(bad["difference"]).astype(int))
    side = signs.pop() if len(signs) == 1 and reached.reindex(keys).eq(True).all() else 0
    text = {1: f", '{arm}' has the higher reward", -1: f", '{arm}' has the lower reward", 0: ""}
    return Match(f"rewards not matched{text[side]}", side)


def columns(selection: pd.DataFrame, experiments: Sequence[Any]) -> dict[str, Any]:
    """What a table's frame says of it: `unmatched` (empty where rewards match) and `side`."""
    used = [e for e in experiments if e is not None]
    each = {e.number: reward_match(selection, [e.name]) for e in used}
    numbers = [str(number) for number, match in each.items() if match.why]
    if not numbers:
        return {"unmatched": "", "side": 0}
    match = reward_match(selection, [e.name for e in used])
    return {"unmatched": f"configuration {', '.join(numbers)}: {match.why}", "side": match.side}


def recorded(row: pd.Series) -> Match:
    """The match that `columns` wrote into a table's row; that of a row without it is MATCHED."""
    why = row.get("unmatched")
    return Match(why, int(row["side"])) if isinstance(why, str) and why else MATCHED
