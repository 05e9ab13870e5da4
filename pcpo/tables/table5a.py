"""Table 5a: alignment scores on captions of MSCOCO-2017."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pcpo.tables import directions, row_labels
from pcpo.tables.record import Record

if TYPE_CHECKING:
    import pandas as pd

    from pcpo.tables.table import Body

SCORES = ("hpsv2_1", "aesthetic", "clipscore", "pickscore", "imagereward")
RECORD = Record(
    title="Alignment scores on unseen prompts: MSCOCO-2017 Val.",
    caption="Scores of images for captions that were not trained on (COCO): the base model, the "
    "baseline and PCPO, at the epochs that the paper compares and at the pair matched in reward.",
    experiments=(5, 6),
    frames=("alignment", "selection"),
    kind="pair",
    columns={"epoch": directions.none, **dict.fromkeys(SCORES, directions.better_as_printed)},
    labels=lambda paper: row_labels.of_arms(paper["model"], paper["method"]),
)


def make(experiments: Sequence[Any], *, alignment: pd.DataFrame, selection: pd.DataFrame) -> Body:
    """Configurations 5 and 6 x base model, baseline, PCPO."""
    from pcpo.tables.alignment import models_and_methods

    of = (RECORD.experiments, "coco", "MSCOCO-2017 Val", SCORES)
    return models_and_methods(*of, experiments, alignment, selection)
