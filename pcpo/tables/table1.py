"""Table 1: epochs to the highest reward level, and the speed-up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pcpo.tables import directions, row_labels
from pcpo.tables.record import Record

if TYPE_CHECKING:
    import pandas as pd

    from pcpo.tables.table import Body

CONFIGURATIONS = (2, 4, 5, 6)
RECORD = Record(
    title="Epochs to a target reward level.",
    caption="Epochs until the training reward reaches the highest level, for the baseline and for "
    "PCPO. A speed-up above 0 means that PCPO needs fewer epochs.",
    experiments=CONFIGURATIONS,
    frames=("updates",),
    kind="speed-up",
    columns={
        "target_level": directions.none,
        "baseline_epochs": directions.none,
        "pcpo_epochs": directions.none,
        "speedup_pct": directions.printed_sign,
    },
    labels=lambda paper: row_labels.numbered(CONFIGURATIONS),
)


def make(experiments: Sequence[Any], *, updates: pd.DataFrame) -> Body:
    """Epochs are whole; the frame's `*_crossing` are interpolated, and speed-ups use these."""
    from pcpo.tables.speedups import EPOCHS, speedups
    from pcpo.tables.table import Body, Column

    frame, footnotes = speedups(experiments, updates, CONFIGURATIONS)
    frame = frame[frame["level_rank"] == 1].reset_index(drop=True)
    frame["row"] = row_labels.numbered(frame["number"])
    frame = frame.rename(columns={"reward_level": "target_level"})
    columns = (
        Column("baseline", "Baseline", group=True),
        Column("reward", "Reward", group=True),
        Column("target_level", "Target level", "{:.4g}"),
        *EPOCHS,
    )
    return Body(frame, columns, tuple(footnotes))
