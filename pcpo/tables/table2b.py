"""Table 2b: quality and diversity of DanceGRPO's images at a matched reward, by base model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pcpo.tables import directions, labels, row_labels
from pcpo.tables.record import Record

if TYPE_CHECKING:
    import pandas as pd

    from pcpo.tables.table import Body

RECORD = Record(
    title="DanceGRPO: image quality and diversity at a matched reward.",
    caption="The same measurements for DanceGRPO on two base models.",
    experiments=(5, 6),
    frames=("overall", "per_prompt", "selection"),
    kind="pair",
    columns={
        "fid": directions.stated(-1),
        "fd_dinov2": directions.stated(-1),
        "is_star": directions.stated(-1),
        "lpips_diversity": directions.none,
    },
    labels=lambda paper: row_labels.of_arms(paper["model"], paper["method"]),
)


def make(
    experiments: Sequence[Any],
    *,
    overall: pd.DataFrame,
    per_prompt: pd.DataFrame,
    selection: pd.DataFrame,
) -> Body:
    """Model (configurations 5 and 6) x method."""
    from pcpo.tables.quality import quality
    from pcpo.tables.table import Column

    numbered = labels.by_number(experiments)
    models = {n: labels.model_label(n, numbered.get(n)) for n in RECORD.experiments}
    cells = {number: {"cell": model, "model": model} for number, model in models.items()}
    key = Column("model", "Model", group=True)
    return quality(key, cells, experiments, overall, per_prompt, selection)
