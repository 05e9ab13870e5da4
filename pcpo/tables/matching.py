"""Whether compared checkpoints match in reward. Where they do not, their quality decides nothing.

More training for reward typically costs image quality, so that a difference in quality at two
rewards is a difference of both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd


def unmatched(selection: pd.DataFrame, experiments: Sequence[str], arm: str = "pcpo") -> str:
    """Why the checkpoints of `arm` and the baseline do not match in reward; "" where they do.

    selection: `frames.SELECTION`. An experiment's pairs match if each of them does, or if there are
    several training seeds and the mean difference in reward over them is within the tolerance:
    quality is compared as the mean over seeds too. They do not match where a seed lacks one.
    """
    every = selection[selection["experiment"].isin(list(experiments))]
    rows = every[every["arm"] == arm]
    runs = [{*zip(f["experiment"], f["seed"], strict=True)} for f in (every, rows)]
    if runs[0] != runs[1]:
        return f"a training seed has no checkpoint of '{arm}'"
    bad = [of_one for _, of_one in rows.groupby("experiment") if not _matched(of_one)]
    if not bad:
        return ""
    signs = {int(np.sign(of_one["difference"].mean())) for of_one in bad}
    side = signs.pop() if len(signs) == 1 else 0
    text = {1: f", '{arm}' has the higher reward", -1: f", '{arm}' has the lower reward"}
    return f"rewards not matched{text.get(side, '')}"


def _matched(rows: pd.DataFrame) -> bool:
    if rows["matched"].astype(bool).all():
        return True
    return len(rows) > 1 and abs(rows["difference"].mean()) <= rows["tolerance"].mean()


def columns(selection: pd.DataFrame, experiments: Sequence[Any]) -> dict[str, Any]:
    """The column of a table's frame: `unmatched` (empty where rewards match)."""
    used = [e for e in experiments if e is not None]
    numbers = [str(e.number) for e in used if unmatched(selection, [e.name])]
    why = unmatched(selection, [e.name for e in used])
    return {"unmatched": f"configuration {', '.join(numbers)}: {why}" if numbers else ""}


def unmatched_baselines(selection: pd.DataFrame, experiments: Sequence[Any]) -> str:
    """Why the baselines of two experiments do not match in reward; "" where they do or one is None.

    They match if the mean selection rewards over the training seeds that both have differ by at
    most the experiments' tolerance. Each experiment has a reward level of its own, which no
    selection makes equal.
    """
    used = [e for e in experiments if e is not None]
    rows = selection[selection["experiment"].isin([e.name for e in used])]
    baselines = rows[rows["arm"] == "baseline"].pivot(
        index="seed", columns="experiment", values="selection_reward"
    )
    rewards = baselines.dropna().mean()
    # The baseline's own row has tolerance 0: there it is compared with itself.
    if len(rewards) < 2 or rewards.max() - rewards.min() <= rows["tolerance"].max():
        return ""
    each = [f"{rewards[e.name]:.4g} in configuration {e.number}" for e in used]
    return f"rewards of the baselines not matched: {' and '.join(each)}"


def matched_seeds(pairs: pd.DataFrame, selection: pd.DataFrame) -> pd.Series[bool]:
    """Whether the two training seeds of each pair match in reward: within the tolerance.

    pairs: rows with `experiment, arm, first, second` (`pcpo.stats.null_rate.null_pairs`).
    """
    reward = selection.set_index(["experiment", "arm", "seed"])["selection_reward"].to_dict()
    # The baseline's own row has tolerance 0: there it is compared with itself.
    tolerance = selection.groupby("experiment")["tolerance"].max().to_dict()
    keys = ["experiment", "arm", "first", "second"]
    nan = float("nan")
    matched = [
        abs(reward.get((name, arm, first), nan) - reward.get((name, arm, second), nan))
        <= tolerance.get(name, nan)
        for name, arm, first, second in pairs[keys].itertuples(index=False)
    ]
    return pd.Series(matched, index=pairs.index, dtype=bool)


def recorded(row: pd.Series) -> str:
    """What `columns` wrote into a table's row; "" for a row without it."""
    why = row.get("unmatched")
    return why if isinstance(why, str) else ""
