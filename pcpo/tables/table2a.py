"""Table 2a: quality and diversity of DDPO's images at a matched reward, by batch size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pcpo.tables import directions, labels, row_labels
from pcpo.tables.record import Record

if TYPE_CHECKING:
    import pandas as pd

    from pcpo.tables.table import Body

_BATCHES = {256: "half", 512: "full"}


def _labels(paper: pd.DataFrame) -> Iterable[str]:
    return row_labels.of_arms(paper["batch_size"].map(_BATCHES), paper["method"])


RECORD = Record(
    title="DDPO (Aesthetics): image quality and diversity at a matched reward.",
    caption="Images of the checkpoints whose rewards match: how far they lie from the base model's "
    "(FID and FD-DINOv2, lower is nearer), their Inception Score and their diversity, for half and "
    "full batches of DDPO.",
    experiments=(1, 2),
    frames=("overall", "per_prompt", "selection"),
    kind="pair",
    columns={
        "fid": directions.stated(-1),
        "fd_dinov2": directions.stated(-1),
        "is_star": directions.stated(-1),
        # Claimed only together with the larger batch (Sec. 3.2).
        "lpips_diversity": directions.stated(1, row="full pcpo"),
    },
    labels=_labels,
)


def make(
    experiments: Sequence[Any],
    *,
    overall: pd.DataFrame,
    per_prompt: pd.DataFrame,
    selection: pd.DataFrame,
) -> Body:
    """Batch size (configurations 1 and 2) x method."""
    from pcpo.tables import notes
    from pcpo.tables.quality import quality
    from pcpo.tables.table import Column

    numbered = labels.by_number(experiments)
    cells = {
        number: {
            "cell": cell,
            "batch_size": labels.images_per_iteration(number, numbered.get(number)),
        }
        for number, cell in zip(RECORD.experiments, ("half", "full"), strict=True)
    }
    key = Column("batch_size", "Batch", group=True)
    body = quality(key, cells, experiments, overall, per_prompt, selection)
    return body._replace(notes=(*body.notes, notes.LPIPS_SLIP))
