"""Table 5b: alignment scores on prompts of MJHQ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pcpo.tables import directions, row_labels
from pcpo.tables.record import Record
from pcpo.tables.table5a import SCORES

if TYPE_CHECKING:
    import pandas as pd

    from pcpo.tables.table import Body

RECORD = Record(
    title="Alignment scores on unseen prompts: MJHQ.",
    caption="The same scores for the prompts of MJHQ.",
    experiments=(5, 6),
    frames=("alignment", "selection"),
    kind="pair",
    columns={"epoch": directions.none, **dict.fromkeys(SCORES, directions.better_as_printed)},
    labels=lambda paper: row_labels.of_arms(paper["model"], paper["method"]),
)


def make(experiments: Sequence[Any], *, alignment: pd.DataFrame, selection: pd.DataFrame) -> Body:
    """Configurations 5 and 6 x base model, baseline, PCPO."""
    from pcpo.tables.alignment import models_and_methods

    of = (RECORD.experiments, "mjhq", "MJHQ", SCORES)
    return models_and_methods(*of, experiments, alignment, selection)
