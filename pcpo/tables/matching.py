"""Whether compared checkpoints match in reward, and what follows where they do not.

More training for reward typically costs image quality. So an arm with the higher reward and the
better quality would be better at equal reward too (the paper argues so for DanceGRPO, Sec. 3.2:
"the comparison was handicapped"), and an arm with the lower reward and the worse quality would be
worse. The other two outcomes show nothing.
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
        """The sign of a quality difference that also holds at equal reward; 0 if neither does."""
        return BETTER[metric] * self.side


MATCHED = Match("", 0)


def reward_match(selection: pd.DataFrame, experiments: Sequence[str], arm: str = "pcpo") -> Match:
    """Compare the rewards of the checkpoints of `arm` and the baseline, over experiments and seeds.

    selection: `frames.SELECTION`. The side is known where the baseline reached its level and all
    pairs that do not match differ in the same direction.
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
    """The columns of a table's frame: `unmatched` (empty where rewards match) and `side`."""
    used = [e for e in experiments if e is not None]
    each = {e.number: reward_match(selection, [e.name]) for e in used}
    numbers = [str(number) for number, match in each.items() if match.why]
    if not numbers:
        return {"unmatched": "", "side": 0}
    match = reward_match(selection, [e.name for e in used])
    return {"unmatched": f"configuration {', '.join(numbers)}: {match.why}", "side": match.side}


def recorded(row: pd.Series) -> Match:
    """The match that `columns` wrote into a table's row; MATCHED for a row without it."""
    why = row.get("unmatched")
    return Match(why, int(row["side"])) if isinstance(why, str) and why else MATCHED
