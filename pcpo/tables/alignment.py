"""Tables 5 and 9: alignment scores on prompts that were not trained on.

The paper's rows are at the epochs that it compares. Table 5 has, in further rows, the pair of
checkpoints matched in reward.
"""

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
PAIRS = ("published", "matched")  # `checkpoint` of `pcpo.records.frames.ALIGNMENT`


def of_pair(alignment: pd.DataFrame, pair: str) -> pd.DataFrame:
    """The rows of one pair of checkpoints (one of `PAIRS`), and of the base model."""
    return alignment[alignment["checkpoint"].isin([pair, "base"])]


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
        named = dict(zip(_ARMS, methods, strict=True))
        for arm, pair in (*((a, "published") for a in _ARMS), *((a, "matched") for a in _ARMS[1:])):
            at = of_pair(chosen, pair)
            matched = pair == "matched"
            row: dict[str, Any] = {
                "row": f"{model} {arm}" + " matched" * matched,
                "config": number,
                "dataset": printed,
                "model": model,
                "checkpoint": "base" if arm == "base" else pair,
            }
            row |= {"method": named[arm]} | _means(at, experiment, arm, SCORES_5)
            if any(np.isnan(row[score]) for score in SCORES_5):
                missing.add(number)
            if arm == "pcpo":
                row |= _differences(at, experiment, "baseline", SCORES_5)
            compared = [experiment] if arm == "pcpo" and matched else []
            row |= matching.columns(selection, compared)
            rows.append(row)
    columns = [
        Column("model", "Model", group=True),
        Column("method", "Method (epoch)", _method_text, group=True),
        *(Column(s, labels.SCORES[s], FORMATS.get(s, "{:.2f}")) for s in SCORES_5),
    ]
    footnotes = _notes(chosen, sorted(missing), used)
    if len(chosen):
        footnotes.append(_MATCHED)
    footnotes += notes.selection_notes(selection, used)
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
    used = [experiment] if experiment else []
    every = _chosen(alignment, used, "pick_eval")
    chosen = of_pair(every, "published")
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
    footnotes = _notes(chosen, missing, used)
    footnotes += _matched_note(of_pair(every, "matched"), experiment)
    footnotes += notes.selection_notes(selection, used)
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
    """E.g. PCPO (E120), PCPO (E180, matched); without epoch where training seeds differ in it."""
    epoch = [] if np.isnan(row["epoch"]) else [f"E{row['epoch']:.0f}"]
    about = epoch + ["matched"] * (row["checkpoint"] == "matched")
    return f"{method} ({', '.join(about)})" if about else method


def _gain_text(plain: str) -> Callable[[Any, pd.Series], str]:
    signed = plain.replace("{:", "{:+")
    return lambda value, row: (signed if row["row_type"] == "gain" else plain).format(value)


_MATCHED = (
    "Rows without 'matched' are at the epochs that the paper compares; verdicts are of these. Rows "
    "with it are of the checkpoints selected at one reward level; whether they match is said below."
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
            f"baseline and {asked['pcpo']} of PCPO; here the last checkpoints up to them stand for "
            f"them, epochs {ends['baseline']} and {ends['pcpo']}"
            + ("." if kept else ": the paper's ratio of the two is not kept.")
        )
    return found


def _matched_note(matched: pd.DataFrame, experiment: Any | None) -> list[str]:
    """Table 9 has no second arm: the arms at one reward stand in a sentence below it."""
    if experiment is None or not {"baseline", "pcpo"} <= set(matched["arm"]):
        return []
    means = {arm: _means(matched, experiment, arm, SCORES_9) for arm in ("baseline", "pcpo")}
    differences = ", ".join(
        f"{labels.SCORES[s]} {means['pcpo'][s] - means['baseline'][s]:+.3f}" for s in SCORES_9
    )
    return [f"At the pair matched in reward, PCPO minus baseline: {differences}."]


def _notes(chosen: pd.DataFrame, missing: Sequence[int], used: Sequence[Any]) -> list[str]:
    found = notes.missing_note(missing)
    if len(chosen):
        prompts = chosen["prompt_id"].nunique()
        images = chosen[["prompt_id", "image"]].drop_duplicates().shape[0]
        found.append(f"{images} images of {prompts} prompts per model, the same seeds for each.")
    return found + _epochs_note(chosen, used) + notes.seed_note(chosen)
