"""Table 9: PCPO on SD1.5 beside the published numbers of DPO and self-play methods."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pcpo.compared import COMPARED
from pcpo.tables import directions, labels, row_labels
from pcpo.tables.record import Record

if TYPE_CHECKING:
    import pandas as pd

    from pcpo.tables.table import Body

SCORES = ("hpsv2", "aesthetic", "pickscore", "imagereward")
_LABELS = ("comparison", "row_type", "method_label")


def _gained(paper: pd.DataFrame, row: str, column: str) -> int:
    return int(row == "PCPO gain" and directions.number(paper, row, column) > 0)


RECORD = Record(
    title="Comparison with DPO and self-play methods.",
    caption="What training with PCPO gains over the base model in four scores. The rows of other "
    "methods are quoted from their papers and were not run.",
    experiments=(7,),
    frames=("alignment", "selection"),
    kind="gain",
    columns=dict.fromkeys(SCORES, _gained),
    labels=lambda paper: row_labels.joined(paper["comparison"], paper["row_type"]),
    quotes=True,
)


def make(
    experiments: Sequence[Any],
    *,
    alignment: pd.DataFrame,
    selection: pd.DataFrame,
    published: pd.DataFrame,
) -> Body:
    """PCPO's rows are from configuration 7; rows of other methods are the paper's."""
    import pandas as pd

    from pcpo.tables import notes
    from pcpo.tables.alignment import FORMATS, differences, means, of_dataset, of_pair, score_notes
    from pcpo.tables.table import Body, Column

    experiment = labels.by_number(experiments).get(7)
    used = [experiment] if experiment else []
    every = of_dataset(alignment, used, "pick_eval")
    chosen = of_pair(every, "published")
    base = means(chosen, experiment, "base", SCORES)
    final = means(chosen, experiment, "pcpo", SCORES)
    model = labels.model_label(7, experiment)
    suffix = "" if math.isnan(final["epoch"]) else f" (E{final['epoch']:.0f})"
    ours = {"comparison": "PCPO", "source": "this run"}
    gains = {score: final[score] - base[score] for score in SCORES}
    rows = [
        ours | {"row": "PCPO base", "row_type": "base", "method_label": f"{model} (Base)"} | base,
        ours | {"row": "PCPO final", "row_type": "final", "method_label": f"PCPO{suffix}"} | final,
        ours
        | {"row": "PCPO gain", "row_type": "gain", "method_label": f"gains{suffix}"}
        | gains
        | differences(chosen, experiment, "base", SCORES),
    ]
    for quoted in published[published["comparison"] != "PCPO"].to_dict("records"):
        row = {"row": f"{quoted['comparison']} {quoted['row_type']}", "source": "published"}
        scores = {score: float(quoted[score]) for score in SCORES}
        rows.append(row | {k: quoted[k] for k in _LABELS} | scores)
    columns = [
        Column("method_label", "Method"),
        *(Column(s, labels.SCORES[s], _gain_text(FORMATS.get(s, "{:.2f}"))) for s in SCORES),
        Column("source", "Source"),
    ]
    missing = [7] if any(math.isnan(v) for v in gains.values()) else []
    footnotes = score_notes(chosen, missing, used)
    footnotes += _matched_note(of_pair(every, "matched"), experiment)
    footnotes += notes.selection_notes(selection, used)
    footnotes.append(
        "Rows marked 'published' are quoted from the paper, not run. Their authors used other "
        "prompts and other base scores: compare gains, with caution (Appendix C)."
    )
    clip = means(chosen, experiment, "base", ("clipscore",))["clipscore"]
    clip_final = means(chosen, experiment, "pcpo", ("clipscore",))["clipscore"]
    if not math.isnan(clip + clip_final):
        footnotes.append(
            f"CLIPScore: base {clip:.3f}, PCPO {clip_final:.3f} (the paper: 0.387 for both)."
        )
    return Body(pd.DataFrame(rows), tuple(columns), tuple(footnotes))


def _matched_note(matched: pd.DataFrame, experiment: Any | None) -> list[str]:
    """Table 9 has no second arm: a note below it compares the arms at a matched reward."""
    if experiment is None or not {*COMPARED} <= set(matched["arm"]):
        return []
    from pcpo.tables.alignment import means

    pcpo, baseline = (means(matched, experiment, arm, SCORES) for arm in ("pcpo", "baseline"))
    each = ", ".join(f"{labels.SCORES[s]} {pcpo[s] - baseline[s]:+.3f}" for s in SCORES)
    return [f"At the pair matched in reward, PCPO minus baseline: {each}."]


def _gain_text(plain: str) -> Callable[[Any, pd.Series], str]:
    signed = plain.replace("{:", "{:+")
    return lambda value, row: (signed if row["row_type"] == "gain" else plain).format(value)
