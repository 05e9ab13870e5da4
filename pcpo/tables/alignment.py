"""Shared by Tables 5 and 9: alignment scores on prompts that were not trained on.

The paper's rows are at the epochs that it compares. Further rows of Table 5 have the pair of
checkpoints matched in reward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pcpo.compared import COMPARED
from pcpo.tables import labels, matching, notes, paired
from pcpo.tables.table import Body, Column

FORMATS = {"hpsv2_1": "{:.3f}", "hpsv2": "{:.3f}", "clipscore": "{:.3f}"}
_ARMS = ("base", *COMPARED)


def of_pair(alignment: pd.DataFrame, pair: str) -> pd.DataFrame:
    """The rows of a pair of checkpoints, "published" or "matched", and of the base model."""
    return alignment[alignment["checkpoint"].isin([pair, "base"])]


def models_and_methods(
    numbers: Sequence[int],
    dataset: str,
    printed: str,
    scores: Sequence[str],
    experiments: Sequence[Any],
    alignment: pd.DataFrame,
    selection: pd.DataFrame,
) -> Body:
    """Tables 5a and 5b: base model, baseline and PCPO of each configuration of `numbers`.

    `dataset` is the name in the frame, `printed` the paper's.
    """
    numbered = labels.by_number(experiments)
    used = [numbered[n] for n in numbers if n in numbered]
    chosen = of_dataset(alignment, used, dataset)
    rows, missing = [], set()
    for number in numbers:
        experiment = numbered.get(number)
        model = labels.model_label(number, experiment)
        methods = ("Base Model", labels.algorithm_label(number, experiment), "PCPO")
        named = dict(zip(_ARMS, methods, strict=True))
        for arm, pair in (*((a, "published") for a in _ARMS), *((a, "matched") for a in _ARMS[1:])):
            at = of_pair(chosen, pair)
            matched = pair == "matched"
            row: dict[str, Any] = {
                "row": f"{model} {arm}" + " matched" * matched,
                "number": number,
                "dataset": printed,
                "model": model,
                "checkpoint": "base" if arm == "base" else pair,
            }
            row |= {"method": named[arm]} | means(at, experiment, arm, scores)
            if any(np.isnan(row[score]) for score in scores):
                missing.add(number)
            if arm == "pcpo":
                row |= differences(at, experiment, "baseline", scores)
            compared = [experiment] if arm == "pcpo" and matched else []
            row |= matching.columns(selection, compared)
            rows.append(row)
    columns = [
        Column("model", "Model", group=True),
        Column("method", "Method (epoch)", _method_text, group=True),
        *(Column(s, labels.SCORES[s], FORMATS.get(s, "{:.2f}")) for s in scores),
    ]
    footnotes = score_notes(chosen, sorted(missing), used)
    if len(chosen):
        footnotes.append(_MATCHED)
    footnotes += notes.selection_notes(selection, used)
    return Body(pd.DataFrame(rows), tuple(columns), tuple(footnotes))


def of_dataset(alignment: pd.DataFrame, experiments: list[Any], dataset: str) -> pd.DataFrame:
    names = [e.name for e in experiments]
    return alignment[
        alignment["experiment"].isin(names)
        & alignment["arm"].isin(_ARMS)
        & (alignment["dataset"] == dataset)
    ]


def means(
    chosen: pd.DataFrame, experiment: Any | None, arm: str, scores: Sequence[str]
) -> dict[str, float]:
    """Mean of each score over images, then over training seeds; the epoch (NaN for the base)."""
    name = experiment.name if experiment is not None else ""
    rows = chosen[(chosen["experiment"] == name) & (chosen["arm"] == arm)]
    by_seed = rows.groupby(["score", "seed"])["value"].mean().groupby("score").mean()
    epochs = rows["epoch"].unique()
    epoch = float(epochs[0]) if arm != "base" and len(epochs) == 1 else np.nan
    return {"epoch": epoch} | {s: float(by_seed.get(s, np.nan)) for s in scores}


def differences(
    chosen: pd.DataFrame, experiment: Any | None, reference: str, scores: Sequence[str]
) -> dict[str, float]:
    name = experiment.name if experiment is not None else ""
    rows = chosen[chosen["experiment"] == name]
    found: dict[str, float] = {}
    for score in scores:
        found |= paired.columns(score, rows[rows["score"] == score], "pcpo", reference)
    return found


def _method_text(method: str, row: pd.Series) -> str:
    """E.g. PCPO (E120), PCPO (E180, matched); without epoch where training seeds differ in it."""
    epoch = [] if np.isnan(row["epoch"]) else [f"E{row['epoch']:.0f}"]
    about = epoch + ["matched"] * (row["checkpoint"] == "matched")
    return f"{method} ({', '.join(about)})" if about else method


_MATCHED = (
    "Rows without 'matched' are at the epochs that the paper compares; verdicts are of these. Rows "
    "with it are of the checkpoints selected at one reward level; a note below has the match."
)


def _epochs_note(chosen: pd.DataFrame, used: Sequence[Any]) -> list[str]:
    """Which epochs were used where they are not those that the paper compares."""
    found = []
    for experiment in used:
        published = experiment.alignment_checkpoint
        rows = of_pair(chosen, "published")
        rows = rows[rows["experiment"] == experiment.name]
        ours = {arm: sorted(set(rows.loc[rows["arm"] == arm, "epoch"])) for arm in _ARMS[1:]}
        if published is None or not all(ours.values()):
            continue
        asked = {arm: getattr(published, arm) for arm in ours}
        if all(epochs == [asked[arm]] for arm, epochs in ours.items()):
            continue
        ends = {arm: " or ".join(map(str, epochs)) for arm, epochs in ours.items()}
        kept = all(
            asked["baseline"] * pcpo == asked["pcpo"] * baseline
            for baseline in ours["baseline"]
            for pcpo in ours["pcpo"]
        )
        found.append(
            f"Configuration {experiment.number}: the paper's epochs are {asked['baseline']} of the "
            f"baseline and {asked['pcpo']} of PCPO; here the last checkpoints up to them are "
            f"used, epochs {ends['baseline']} and {ends['pcpo']}"
            + ("." if kept else ": the paper's ratio of the two is not kept.")
        )
    return found


def score_notes(chosen: pd.DataFrame, missing: Sequence[int], used: Sequence[Any]) -> list[str]:
    found = notes.missing_note(missing)
    if len(chosen):
        prompts = chosen["prompt_id"].nunique()
        images = chosen[["prompt_id", "image"]].drop_duplicates().shape[0]
        found.append(
            f"{images} images of {prompts} prompts per model, the same image seeds for each."
        )
    return found + _epochs_note(chosen, used) + notes.seed_note(chosen)
