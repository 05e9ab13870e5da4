"""Procedures on images and on the steps of the sampler: the unit is a prompt, or a step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import pandas as pd
from scipy import stats

from pcpo.claims.estimate import ONE_RUN, PAIR, Arms, Estimate, Z, of_runs, procedure
from pcpo.claims.evidence import Evidence, NotRun
from pcpo.claims.rows import of_coefficient, of_difference
from pcpo.claims.verdict import at_reward
from pcpo.tables import paired
from pcpo.tables.alignment import of_pair
from pcpo.tables.matching import recorded

Metric = Literal["fid", "fd_dinov2", "is_star", "lpips_diversity"]


@procedure()
def prompt_difference(
    evidence: Evidence,
    number: int,
    *,
    metric: Metric,
    arms: Arms = PAIR,
) -> Estimate:
    """A per-prompt metric of one arm minus another's at matched reward, mean over prompts.

    Undecided where the rewards do not match (`pcpo.tables.matching`), or where the value over all
    images has the other sign. One seed: t interval over prompts.
    """
    selected = [_where(r, "metric", metric) for r in _rows(evidence, "per_prompt", number, arms)]
    found = _over_prompts(selected, arms, f"configuration {number} has no per-prompt '{metric}'")
    try:
        overall = [
            _where(rows, "metric", metric).groupby("seed")["value"].mean().mean()
            for rows in _rows(evidence, "overall", number, arms)
        ]
    except NotRun:
        overall = [math.nan, math.nan]
    whole = overall[0] - overall[1]
    if not math.isnan(whole) and whole * found.value < 0:
        disagree = f"over all images the difference is {whole:+.3g}: the two disagree"
        found = replace(found, blocked=disagree)
    return at_reward(found, evidence.unmatched(number, arms))


@procedure()
def score_difference(
    evidence: Evidence,
    number: int,
    *,
    dataset: Literal["coco", "mjhq", "pick_eval"],
    score: Literal["hpsv2_1", "hpsv2", "aesthetic", "clipscore", "pickscore", "imagereward"],
    arms: Arms = PAIR,
    checkpoint: Literal["published", "matched"],
) -> Estimate:
    """A score on unseen prompts of one arm minus another's, mean over prompts.

    `checkpoint: published`: at the epochs that the paper compares, whatever their rewards;
    `matched`: at the pair matched in reward. One seed: t interval over prompts.
    """
    selected = [
        _where(_where(of_pair(rows, checkpoint), "dataset", dataset), "score", score)
        for rows in _rows(evidence, "alignment", number, arms)
    ]
    absent = f"configuration {number}: no '{score}' on {dataset} of the {checkpoint} pair"
    found = _over_prompts(selected, arms, absent)
    if checkpoint == "matched":
        return at_reward(found, evidence.unmatched(number, arms))
    published = evidence.experiments[number].alignment_checkpoint
    return replace(
        found, why="; ".join(filter(None, [_epochs(selected, arms, published), found.why]))
    )


@procedure(joint=True)
def mixed_model(
    evidence: Evidence,
    numbers: tuple[int, ...],
    *,
    metric: Metric,
    effect: Literal["Algorithm", "Batch Size", "Interaction"] = "Algorithm",
) -> Estimate:
    """A coefficient of the mixed models of Table 3 (configurations 1 and 2 together) or Table 4
    (configuration 5 or 6). Several seeds: t over them (`pcpo.stats.effect_fits`). One seed: of the
    model over prompts, with Satterthwaite's degrees of freedom; Wald interval where there are none.
    """
    for number in numbers:
        evidence.name(number)
    if numbers == (1, 2):
        label, table = f"{effect} {metric}", evidence.table("table3")
    elif numbers in ((5,), (6,)):
        table = evidence.table("table4")
        rows = table[(table["number"] == numbers[0]) & (table["metric"] == metric)]
        label = str(rows.index[0])
    else:
        raise ValueError(f"configurations {list(numbers)}: no mixed model; it has [1, 2], 5 and 6")
    row = table.loc[[label]].iloc[0]
    found = of_coefficient(row, "no mixed model was fitted")
    tests = f"over prompts p = {float(row['p_value']):.2g} (Wald z)"
    if not math.isnan(df := float(row.get("df", math.nan))):
        tests += f", {float(row['p_satterthwaite']):.2g} (t, {df:.3g} degrees of freedom)"
    why = "; ".join(filter(None, [tests, found.why]))
    return at_reward(replace(found, why=why), recorded(row))


@procedure()
def clipping_follows_weight(evidence: Evidence, number: int, *, arm: str = "baseline") -> Estimate:
    """Spearman's rank correlation, over the trained steps, of native weight and clip fraction.

    One seed: Fisher's z interval (Fieller's variance 1.06 / (n - 3)), steps taken as independent.
    """
    credit = evidence.rows("credit", number, arm)
    weights = credit[credit["trained"].astype(bool)].set_index("step")["native_weight"]
    found, steps = [], 0
    for rows in evidence.seeds("timesteps", number, [arm])[0].values():
        clipped = (rows["clip_fraction"] * rows["terms"]).groupby(rows["step"]).sum()
        share = clipped / rows.groupby("step")["terms"].sum()
        both = pd.concat([weights, share.rename("share")], axis=1, join="inner").dropna()
        steps = len(both)
        different = both[["native_weight", "share"]].nunique()
        if steps < 5 or different.min() < 2:
            blocked = f"{steps} steps, {different['share']} different clip fractions"
            blocked += f", {different['native_weight']} different weights"
            runs = evidence.rows("timesteps", number, arm)["seed"].nunique()
            why = f"nothing to rank: {blocked}"
            return Estimate(math.nan, n=f"{steps} steps", blocked=why, runs=runs)
        found.append(float(stats.spearmanr(both["native_weight"], both["share"]).statistic))
    if len(found) > 1:
        return of_runs(found)
    half = Z * math.sqrt(1.06 / (steps - 3))
    z = math.atanh(max(-0.999999, min(0.999999, found[0])))
    low, high = math.tanh(z - half), math.tanh(z + half)
    return Estimate(
        found[0], low, high, f"{steps} steps", f"rank correlation over steps; {ONE_RUN}"
    )


def _epochs(selected: Sequence[pd.DataFrame], arms: Arms, published: Any) -> str:
    """Which epochs were compared, and which of the paper's they replace; without the base model."""
    trained = [
        (int(rows["epoch"].iloc[0]), int(getattr(published, arm, 0)))
        for rows, arm in zip(selected, arms, strict=True)
        if arm != "base"
    ]
    here, theirs = (" and ".join(map(str, epochs)) for epochs in zip(*trained, strict=True))
    plural = "epochs" if len(trained) > 1 else "epoch"
    if here == theirs:
        return f"{plural} {here}"
    return f"{plural} {here}, where the run ends, for the paper's {theirs}"


def _over_prompts(selected: Sequence[pd.DataFrame], arms: Arms, absent: str) -> Estimate:
    """Rows (arm, seed, prompt_id, value) of two arms: t over seeds; with one seed over prompts."""
    rows = pd.concat(selected)
    if not paired.by_seed(rows, *arms):
        raise NotRun(absent)
    row = pd.Series(paired.columns("value", rows, *arms))
    found = of_difference(row, "value")
    prompts = f"mean over {row['value_prompts']:.0f} prompts" if found.runs > 1 else ""
    return replace(found, why="; ".join(filter(None, [prompts, found.why])))


def _rows(evidence: Evidence, frame: str, number: int, arms: Arms) -> list[pd.DataFrame]:
    return [evidence.rows(frame, number, arm) for arm in arms]


def _where(rows: pd.DataFrame, column: str, value: Any) -> pd.DataFrame:
    return rows[rows[column] == value]
