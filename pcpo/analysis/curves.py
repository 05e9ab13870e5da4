"""From one row per gradient update to one row per epoch, for speed-ups and plots."""

from __future__ import annotations

import numpy as np
import pandas as pd

RUN = ["experiment", "arm", "seed"]
CLIP_FRACTIONS = ("clip_fraction", "gated_fraction", "authors_clip_fraction")


def epoch_curves(updates: pd.DataFrame) -> pd.DataFrame:
    """One row per experiment, arm, seed and epoch from a frame `frames.UPDATES`.

    `reward_mean` and its standard error `reward_se` = reward_std / sqrt(images) are the epoch's.
    Clip fractions are means over all updates of the epoch ("overall"); `<name>_on_policy` is the
    value of update 1, `<name>_off_policy` of the later ones (NaN if there are none).
    `clip_fraction` counts both sides, `gated_fraction` the terms whose gradient is off.
    `authors_clip_fraction` is as in the authors' code: the first for arms that compute a ratio, the
    second for arms that match predictions. So arms of the two kinds are not comparable by it.
    `kl`, `gradient_abs_mean` and `gradient_abs_var` are means over updates, `seconds` is their sum:
    the wall time of the epoch.

    Raises ValueError if a run does not count its epochs 1, 2, 3, ... without a gap.
    """
    updates = updates.sort_values([*RUN, "epoch", "update"])
    matched = updates["ratio_from"] == "matching"
    updates["authors_clip_fraction"] = updates["gated_fraction"].where(
        matched, updates["clip_fraction"]
    )
    keys = [*RUN, "epoch"]
    on_policy = updates["update"] == 1
    epochs = updates.groupby(keys).agg(
        reward_mean=("reward_mean", "first"),
        reward_std=("reward_std", "first"),
        images=("images", "first"),
        **{name: (name, "mean") for name in CLIP_FRACTIONS},
        kl=("kl", "mean"),
        gradient_abs_mean=("gradient_abs_mean", "mean"),
        gradient_abs_var=("gradient_abs_var", "mean"),
        seconds=("seconds", "sum"),
    )
    for name in CLIP_FRACTIONS:
        epochs[f"{name}_on_policy"] = updates[on_policy].groupby(keys)[name].mean()
        epochs[f"{name}_off_policy"] = updates[~on_policy].groupby(keys)[name].mean()
    epochs["reward_se"] = epochs["reward_std"] / np.sqrt(epochs["images"])
    epochs = epochs.reset_index()
    for run, rows in epochs.groupby(RUN):
        expected = np.arange(1, len(rows) + 1)
        if not np.array_equal(rows["epoch"], expected):
            gap = int(expected[rows["epoch"].to_numpy() != expected][0])
            raise ValueError(
                f"updates of {run}: epoch {gap} is missing; epochs must count 1, 2, 3, ...; "
                "delete the run's updates.parquet so that the workflow writes it again"
            )
    return epochs
