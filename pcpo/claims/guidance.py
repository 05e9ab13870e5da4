"""Procedures on samples between a base model and aligned ones (appendix F).

With one seed: for rewards a t interval over prompts, for distances no interval.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pandas as pd

from pcpo.claims.estimate import ONE_RUN, Estimate, of_runs, procedure, runs_per_arm
from pcpo.claims.evidence import Evidence, NotRun, split
from pcpo.config.reward_guidance import ARM
from pcpo.stats.intervals import t_interval

Point = tuple[float, float]  # strengths of the configuration's own model, and of the other one
BASE, ALIGNED = (0.0, 0.0), (1.0, 0.0)
WAY = ((0.0, 1.0), (0.5, 0.5), (1.0, 0.0))  # from the other model to the own one


@procedure()
def guidance_exchange(evidence: Evidence, number: int, *, strength: float) -> Estimate:
    """Share of the reward's gain that is kept at a strength, minus the share of the distance.

    Both are shares of what the aligned model (strength 1) has. The distance is the root of the
    Fréchet distance, which is a square: images that move evenly with the strength keep equal shares
    of both, and the estimate is 0.
    """
    runs = _runs(evidence, number)
    reward = evidence.experiments[number].reward.name
    kept, moved = [], []
    for seed, rows in runs.items():
        base, own, full = (
            float(_reward(rows, point, reward).mean()) for point in (BASE, (strength, 0.0), ALIGNED)
        )
        near, far = (_distance(rows, point) for point in ((strength, 0.0), ALIGNED))
        if full <= base or far <= 0:
            what = "reward is not above" if full <= base else "images are those of"
            why = f"seed {seed}: the aligned model's {what} the base model's"
            count = len(runs)
            return Estimate(math.nan, n=runs_per_arm(count), runs=count, blocked=why)
        kept.append((own - base) / (full - base))
        moved.append(math.sqrt(near / far))
    shares = f"kept {np.mean(kept):.3g} of the gain and {np.mean(moved):.3g} of the distance"
    return of_runs(np.subtract(kept, moved), f"at s = {strength:g}: {shares}")


@procedure()
def guidance_interpolates(
    evidence: Evidence,
    number: int,
    *,
    reward: Literal["aesthetic", "bertscore"],
    half: Literal["first_half", "second_half"],
) -> Estimate:
    """Change of a reward on one half of the way between two aligned models, mean over prompts.

    The way goes from the other model alone, over one half of each, to the model that was aligned
    with this reward, alone.
    """
    runs = _runs(evidence, number)
    own = reward == evidence.experiments[number].reward.name
    way = WAY if own else WAY[::-1]
    start, end = way[:2] if half == "first_half" else way[1:]
    changes = [_reward(rows, end, reward) - _reward(rows, start, reward) for rows in runs.values()]
    if len(changes) > 1:
        prompts = f"mean over {len(changes[0])} prompts"
        return of_runs([change.mean() for change in changes], prompts)
    found = t_interval(changes[0])
    n = f"{found.n} prompts"
    return Estimate(found.mean, found.low, found.high, n, ONE_RUN, df=found.n - 1)


def _runs(evidence: Evidence, number: int) -> dict[int, pd.DataFrame]:
    return split(evidence.rows("reward_guidance", number, ARM))


def _reward(rows: pd.DataFrame, point: Point, reward: str) -> pd.Series:
    """The reward's mean for each prompt id."""
    own = _at(rows[rows["prompt_id"] >= 0], point)
    own = own[own["measure"] == reward]
    if own.empty:
        raise NotRun(f"no '{reward}' of samples at the strengths {point[0]:g} and {point[1]:g}")
    return own.set_index("prompt_id")["value"]


def _distance(rows: pd.DataFrame, point: Point) -> float:
    own = _at(rows[rows["prompt_id"] < 0], point)
    if own.empty:
        raise NotRun(f"no distance of samples at the strengths {point[0]:g} and {point[1]:g}")
    return float(own["value"].iloc[0])


def _at(rows: pd.DataFrame, point: Point) -> pd.DataFrame:
    return rows[(rows["strength"] == point[0]) & (rows["beside_strength"] == point[1])]
