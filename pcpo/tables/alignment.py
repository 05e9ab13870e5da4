"""Tables 5 and 9: alignment scores on prompts that were not trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pcpo.tables import labels, matching, notes
from pcpo.tables.paired import paired_difference
from pcpo.tables.table import Column, Table

SCORES_5 = ("hpsv2_1", "aesthetic", "clipscore", "pickscore", "imagereward")
SCORES_9 = ("hpsv2", "aesthetic", "pickscore", "imagereward")
FORMATS = {"hpsv2_1": "{:.3f}", "hpsv2": "{:.3f}", "clipscore": "{:.3f}"}
_ARMS = ("base", "baseline", "pcpo")


def table5a(
    experiments: Sequence[Any], *, alignment: pd.DataFrame, selection: pd.DataFrame
) -> Table:
    """Scores on MSCOCO-2017 validation prompts, configurations 5 and 6."""
    return _table5("table5a", "coco", "MSCOCO-2017 Val", experiments, alignment, selection)


def table5b(
    experiments: Sequence[Any], *, alignment: pd.DataFrame, selection: pd.DataFrame
) -> Table:
    """Scores on MJHQ prompts, configurations 5 and 6."""
    return _table5("table5b", "mjhq", "MJHQ", experiments, alignment, selection)


def _table5(
    name: str,
    dataset: str,
    printed: str,
    experiments: Sequence[Any],
    alignment: pd.DataFrame,
    selection: pd.DataFrame,
) -> Table:
    numbered = labels.by_number(experiments)
    used = [numbered[n] for n in (5, 6) if n in numbered]
    chosen = _chosen(alignment, used, dataset)
    rows, missing = [], set()
    for number in (5, 6):
        experiment = numbered.get(number)
        model = labels.model_label(number, experiment)
        methods = ("Base Model", labels.algorithm_label(number, experiment), "PCPO")
        for arm, method in zip(_ARMS, methods, strict=True):
            row: dict[str, Any] = {
                "row": f"{model} {arm}",
                "config": number,
                "dataset": printed,
                "model": model,
            }
            row |= {"method": method} | _means(chosen, experiment, arm, SCORES_5)
            if any(np.isnan(row[score]) for score in SCORES_5):
                missing.add(number)
            if arm == "pcpo":
                row |= _differences(chosen, experiment, "baseline", SCORES_5)
            row |= matching.columns(selection, [experiment] if arm == "pcpo" else [])
            rows.append(row)
    columns = [
        Column("model", "Model", group=True),
        Column("method", "Method (epoch)", _method_text, group=True),
        *(Column(s, labels.SCORES[s], FORMATS.get(s, "{:.2f}")) for s in SCORES_5),
    ]
    footnotes = _notes(chosen, sorted(missing), selection, used)
    title = f"Alignment scores on unseen prompts: {printed}."
    return Table(name, title, pd.DataFrame(rows), tuple(columns), tuple(footnotes))


def table9(
    experiments: Sequence[Any],
    *,
    alignment: pd.DataFrame,
    selection: pd.DataFrame,
    published: pd.DataFrame,
) -> Table:
    """PCPO on SD1.5 (configuration 7) beside DPO and self-play methods as they were published.

    `published` is config/paper/table9.csv; its rows for methods other than PCPO are repeated.
    """
    numbered = labels.by_number(experiments)
    experiment = numbered.get(7)
    chosen = _chosen(alignment, [experiment] if experiment else [], "pick_eval")
    base = _means(chosen, experiment, "base", SCORES_9)
    final = _means(chosen, experiment, "pcpo", SCORES_9)
    model = labels.model_label(7, experiment)
    suffix = "" if np.isnan(final["epoch"]) else f" (E{final['epoch']:.0f})"
    ours = {"comparison": "PCPO", "source": "this run"}
    gains = {score: final[score] - base[score] for score in SCORES_9}
    rows = [
        ours | {"row": "PCPO base", "row_type": "base", "method_label": f"{model} (Base)"} | base,
        ours | {"row": "PCPO final", "row_type": "final", "method_label": f"PCPO{suffix}"} | final,
        ours
        | {"row": "PCPO gain", "row_type": "gain", "method_label": f"gains{suffix}"}
        | gains
        | _differences(chosen, experiment, "base", SCORES_9),
    ]
    for quoted in published[published["comparison"] != "PCPO"].to_dict("records"):
        row = {"row": f"{quoted['comparison']} {quoted['row_type']}", "source": "published"}
        scores = {score: float(quoted[score]) for score in SCORES_9}
        rows.append(row | {k: quoted[k] for k in _LABELS_9} | scores)
    columns = [
        Column("method_label", "Method"),
        *(Column(s, labels.SCORES[s], _gain_text(FORMATS.get(s, "{:.2f}"))) for s in SCORES_9),
        Column("source", "Source"),
    ]
    missing = [7] if any(np.isnan(v) for v in gains.values()) else []
    footnotes = _notes(chosen, missing, selection, [experiment] if experiment else [])
    footnotes.append(
        "Rows marked 'published' are quoted from the paper, not run. Their authors used other "
        "prompts and other base scores: compare gains, with caution (Appendix C)."
    )
    clip = _means(chosen, experiment, "base", ("clipscore",))["clipscore"]
    clip_final = _means(chosen, experiment, "pcpo", ("clipscore",))["clipscore"]
    if not np.isnan(clip + clip_final):
        footnotes.append(
            f"CLIPScore: base {clip:.3f}, PCPO {clip_final:.3f} (the paper: 0.387 for both)."
        )
    title = "Comparison with DPO and self-play methods."
    return Table("table9", title, pd.DataFrame(rows), tuple(columns), tuple(footnotes))


_LABELS_9 = ("comparison", "row_type", "method_label")


def _chosen(alignment: pd.DataFrame, experiments: list[Any], dataset: str) -> pd.DataFrame:
    names = [e.name for e in experiments]
    return alignment[
        alignment["experiment"].isin(names)
        & alignment["arm"].isin(_ARMS)
        & (alignment["dataset"] == dataset)
    ]


def _means(
    chosen: pd.DataFrame, experiment: Any | None, arm: str, scores: Sequence[str]
) -> dict[str, float]:
    """Mean of each score over images, then over training seeds; the epoch (NaN for the base)."""
    name = experiment.name if experiment is not None else ""
    rows = chosen[(chosen["experiment"] == name) & (chosen["arm"] == arm)]
    by_seed = rows.groupby(["score", "seed"])["value"].mean().groupby("score").mean()
    epochs = rows["epoch"].unique()
    epoch = float(epochs[0]) if arm != "base" and len(epochs) == 1 else np.nan
    return {"epoch": epoch} | {s: float(by_seed.get(s, np.nan)) for s in scores}


def _differences(
    chosen: pd.DataFrame, experiment: Any | None, reference: str, scores: Sequence[str]
) -> dict[str, float]:
    name = experiment.name if experiment is not None else ""
    rows = chosen[chosen["experiment"] == name]
    found: dict[str, float] = {}
    for score in scores:
        difference = paired_difference(rows[rows["score"] == score], "pcpo", reference)
        found[f"{score}_prompt_difference"] = difference.mean
        found[f"{score}_prompt_difference_se"] = difference.standard_error
        found[f"{score}_prompts"] = difference.pairs
    return found


def _method_text(method: str, row: pd.Series) -> str:
    return method if np.isnan(row["epoch"]) else f"{method} (E{row['epoch']:.0f})"


def _gain_text(plain: str) -> Callable[[Any, pd.Series], str]:
    signed = plain.replace("{:", "{:+")
    return lambda value, row: (signed if row["row_type"] == "gain" else plain).format(value)


def _notes(
    chosen: pd.DataFrame,
    missing: Sequence[int],
    selection: pd.DataFrame,
    used: Sequence[Any],
) -> list[str]:
    found = notes.missing_note(missing)
    if len(chosen):
        prompts = chosen["prompt_id"].nunique()
        images = chosen[["prompt_id", "image"]].drop_duplicates().shape[0]
        found.append(f"{images} images of {prompts} prompts per model, the same seeds for each.")
    found += notes.selection_notes(selection, used)
    return found + notes.seed_note(chosen)
