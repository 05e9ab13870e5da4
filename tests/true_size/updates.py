"""What a training's log of updates must say."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tests.true_size.stages import Facts, Failure

ARM = "pcpo"


def checked(file: Path, arm: str, epochs: int) -> Facts:
    """The run's updates: gradients, and for PCPO an on-policy log-ratio of exactly 0.

    The second update of an epoch may have no gradient: its images may all be clipped. The first has
    none where all images score the same.
    """
    rows = pd.read_parquet(file)
    first = rows[rows["update"] == 1]
    moves = (first["grad_norm"] > 0) == (first["reward_std"] > 0)
    if rows["epoch"].max() != epochs or not moves.all():
        raise Failure(f"{file}: {len(rows)} updates, gradient norms {rows['grad_norm'].tolist()}")
    if arm == ARM and not ((first["log_ratio_mean"] == 0) & (first["log_ratio_std"] == 0)).all():
        found = first["log_ratio_mean"].tolist()
        raise Failure(f"{file}: the on-policy log-ratio is not 0: {found}")
    return {
        "updates": len(rows),
        "grad_norms": rows["grad_norm"].tolist(),
        "reward_std": float(rows["reward_std"].iloc[0]),
        "seconds": rows["seconds"].tolist(),
    }
