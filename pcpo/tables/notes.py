"""Footnotes: what a reader must know before comparing a number with the paper's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from pcpo.compared import COMPARED

TABLE_3_SLIP = (
    "The paper's own Table 3 seems to exchange its FD-DINOv2 rows for batch size and interaction: "
    "in a balanced design the interaction's standard error is sqrt(2) times the main effects', "
    "which holds for the other metrics and for FD-DINOv2 only after the exchange."
)
TABLE_10_SLIP = (
    "Two rows of the paper's own Table 10 do not follow from their epochs: BERTScore (288/144) "
    "should read -6.5 % at 0.50 (145 and 155 epochs; printed -9.4 %) and -19.6 % at 0.49 "
    "(90 and 112 epochs; printed -19.7 %)."
)
IS_STAR = (
    "IS* is the Inception Score read as lower is better: at a matched reward the paper takes a "
    "high score for a sign of mode collapse (Sec. 3.2)."
)
LPIPS_SLIP = (
    "The paper's LPIPS values in Tables 2 and 3 cannot both be plain means over the same prompts: "
    "a balanced mixed model reproduces differences of cell means exactly, and these differ."
)

MODEL_3 = (
    "Linear mixed model value ~ algorithm * batch with a random intercept per prompt, REML, "
    "Wald z. Reference cell: baseline at half batch, so that 'Algorithm' is PCPO's effect at half "
    "batch and 'Batch Size' that of the full batch on the baseline."
)
TWO_TASKS = (
    "Main columns: configurations 1 and 2 (one task). Two tasks: configurations 1 to 4, each "
    "prompt of each task with its own intercept; the paper does not say which it used."
)
MODEL_4 = (
    "Linear mixed model value ~ algorithm with a random intercept per prompt, REML, Wald z; the "
    "coefficient is PCPO minus baseline."
)

# Width of the feature networks, for frames without a column `dimensions`.
_DIMENSIONS = {"inception": 2048, "dinov2": 1024}


def scale_note(scale: str, note: str = "") -> list[str]:
    """The scale's own `note`; says "not comparable" at every scale but `paper`."""
    if scale == "paper":
        return [note] if note else []
    note = note or f"Scale '{scale}'"
    comparable = "" if "not comparable" in note.lower() else " Not comparable with the paper."
    return [note.rstrip(". ") + "." + comparable]


def difference_notes(differences: Mapping[int, Sequence[str]]) -> list[str]:
    """One line for the differences that all configurations share, then one for each further group.

    `differences` maps a configuration's number to its `pcpo.config.scale_differences`.
    """
    if not any(differences.values()):
        return []
    first = next(iter(differences.values()))
    shared = [one for one in first if all(one in own for own in differences.values())]
    groups: dict[tuple[str, ...], list[int]] = {}
    for number, own in differences.items():
        groups.setdefault(tuple(one for one in own if one not in shared), []).append(number)
    if len(groups) == 1:
        return [_difference_line(differences, first)]
    lines = [_difference_line(differences, shared)] if shared else []
    return lines + [_difference_line(n, rest) for rest, n in groups.items() if rest or not shared]


def _difference_line(numbers: Iterable[int], differences: Sequence[str]) -> str:
    who = f"Configuration {', '.join(map(str, numbers))}"
    if not differences:
        return f"{who}: as at the paper's scale."
    return f"{who}, unlike the paper's scale: {'; '.join(differences)}."


def missing_note(numbers: Iterable[int]) -> list[str]:
    numbers = list(numbers)
    if not numbers:
        return []
    return [f"'-': no data for configuration {', '.join(map(str, numbers))}."]


def sample_notes(metrics: pd.DataFrame, what: str) -> list[str]:
    """Image counts of the rows of a metrics frame, and where a Fréchet distance has N < d."""
    if metrics.empty:
        return []
    notes = [
        (
            f"{what}: {_counts(metrics['images'])} images against "
            f"{_counts(metrics['reference_images'])} of the base model."
        )
    ]
    distances = metrics[metrics["metric"].isin(["fid", "fd_dinov2"])]
    for measured, rows in distances.groupby("measured"):
        images, dimensions = int(rows["images"].min()), _dimensions(rows, str(measured))
        if dimensions is None:
            notes.append(
                f"{measured}: the Fréchet distance is biased upwards by small samples; "
                f"compare it at equal sample size only (here {images})."
            )
        elif images < dimensions:
            notes.append(
                f"{measured}: {images} images for {dimensions} features, so that the covariances "
                "are singular and the Fréchet distance has a large upward bias; compare it at "
                "equal sample size only."
            )
    return notes


def selection_notes(selection: pd.DataFrame, experiments: Iterable[Any]) -> list[str]:
    """Which checkpoints represent the arms, and whether their rewards match: one note per pair of
    runs, or one over all of them from three seeds.
    """
    notes = []
    for experiment in experiments:
        rows = selection[selection["experiment"] == experiment.name]
        if rows["seed"].nunique() > 2:
            notes += _over_seeds(rows, experiment)
            continue
        for seed, run in rows.groupby("seed"):
            arms = run.set_index("arm")
            if "pcpo" not in arms.index or "baseline" not in arms.index:
                continue
            baseline, pcpo = arms.loc["baseline"], arms.loc["pcpo"]
            if pcpo["matched"]:
                verdict = "matched"
            elif pcpo["bracketed"]:
                verdict = "bracketed (PCPO is the higher-rewarded one), NOT matched"
            else:
                verdict = "NOT matched"
            level = f"reward level {baseline['level']:.4g}"
            if pd.isna(baseline["level"]):
                level = "no reward level in common"
            elif not (baseline["level_reached"] and pcpo["level_reached"]):
                level += " not reached by both"
            notes.append(
                f"Configuration {experiment.number}, seed {seed}, {level}: "
                f"baseline epoch {baseline['epoch']} "
                f"(selection reward {baseline['selection_reward']:.4g}), PCPO epoch "
                f"{pcpo['epoch']} ({pcpo['selection_reward']:.4g}); difference "
                f"{pcpo['difference']:+.3g} +- {pcpo['difference_se']:.2g}, tolerance "
                f"{pcpo['tolerance']:.2g}: {verdict}"
                + (f" ({pcpo['reason']})" if isinstance(pcpo["reason"], str) else "")
                + "."
            )
    return notes


def _over_seeds(rows: pd.DataFrame, experiment: Any) -> list[str]:
    baseline, pcpo = (rows[rows["arm"] == arm] for arm in COMPARED)
    if baseline.empty or pcpo.empty:
        return []
    bad = pcpo.loc[~pcpo["matched"].astype(bool), "seed"]
    bad_seeds = f"; NOT matched in seed {', '.join(map(str, sorted(bad)))}" if len(bad) else ""
    return [
        f"Configuration {experiment.number}, {pcpo['seed'].nunique()} seeds: baseline epochs "
        f"{_counts(baseline['epoch'])}, PCPO epochs {_counts(pcpo['epoch'])}; difference in "
        f"selection reward {pcpo['difference'].min():+.3g} to {pcpo['difference'].max():+.3g}, "
        f"mean {pcpo['difference'].mean():+.3g}, tolerance {pcpo['tolerance'].mean():.2g}"
        f"{bad_seeds}."
    ]


def seed_note(frame: pd.DataFrame) -> list[str]:
    """How many training seeds the trained arms have."""
    trained = frame[frame["arm"] != "base"]
    if trained.empty:
        return []
    seeds = trained.groupby(["experiment", "arm"])["seed"].nunique()
    if seeds.max() == 1:
        return ["One training run per arm: variation between training runs is not in this table."]
    return [f"Mean over {_counts(seeds)} training seeds per arm."]


def _dimensions(rows: pd.DataFrame, measured: str) -> int | None:
    if "dimensions" in rows and rows["dimensions"].notna().any():
        return int(rows["dimensions"].max())
    known = [d for name, d in _DIMENSIONS.items() if name in measured.lower()]
    return known[0] if len(known) == 1 else None


def _counts(values: pd.Series) -> str:
    low, high = int(values.min()), int(values.max())
    return str(low) if low == high else f"{low} to {high}"
