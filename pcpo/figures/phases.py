"""The two phases of training that Figures 10 and 11 compare: from scratch, and near the end."""

from __future__ import annotations

import pandas as pd

EPOCHS = 5  # Appendix D, gradient stability analysis


def phases(rows: pd.DataFrame, epochs: int = EPOCHS) -> dict[str, pd.DataFrame]:
    """The rows of the first and of the last epochs of an arm, keyed "first 5 epochs" and so on.

    A run of fewer than ten epochs is halved, so that no epoch is in both phases.
    """
    last = rows.groupby("seed")["epoch"].transform("max")
    count = max(1, min(epochs, int(last.min()) // 2)) if len(rows) else epochs
    noun = "epoch" if count == 1 else f"{count} epochs"
    return {
        f"first {noun}": rows[rows["epoch"] <= count],
        f"last {noun}": rows[rows["epoch"] > last - count],
    }
