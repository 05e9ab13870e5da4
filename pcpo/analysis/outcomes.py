"""Primary outcomes of a training: from the reward on fixed validation images, one value per run.

Every arm is validated on the same prompts and noise by the experiment's native sampler, so that
only the weights differ. The training reward has neither property: its prompts and noise are drawn
again in every epoch, and an arm may sample by a variance of its own.

A curve is (epochs, 2): epoch and mean reward, epoch 0 (the base model) first; between the epochs of
validation it is a straight line. Runs are compared up to the last epoch that they share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from pcpo.compared import COMPARED

Curves = Mapping[int, np.ndarray]  # training seed -> validation curve (epochs, 2)

LEVEL_FRACTION = 0.75  # of the way from the base model to where both of them end


def validation_curve(rows: pd.DataFrame) -> np.ndarray:
    """The curve of one run, from its rows of `frames.VALIDATION`.

    Raises ValueError without the base model (epoch 0) or a later epoch.
    """
    curve = rows.sort_values("epoch")[["epoch", "reward_mean"]].to_numpy(np.float64)
    if len(curve) < 2 or curve[0, 0] != 0:
        who = rows[["experiment", "arm", "seed"]].drop_duplicates().to_dict("records")
        raise ValueError(
            f"validation of {who}: epochs {curve[:, 0].tolist()} need epoch 0 (the base model) and "
            "a later one; delete the run's validation.parquet so that the workflow writes it again"
        )
    return curve


def up_to(curve: np.ndarray, end: float) -> np.ndarray:
    """The curve up to epoch `end`, with a point there."""
    inside = curve[curve[:, 0] < end]
    return np.vstack([inside, [end, np.interp(end, curve[:, 0], curve[:, 1])]])


def shared_end(curves: Sequence[np.ndarray]) -> float:
    """The last epoch that all of the curves have."""
    return float(min(curve[-1, 0] for curve in curves))


def area(curve: np.ndarray) -> float:
    """Mean over epochs of the reward above the base model's: the area under it over its length."""
    gain = curve[:, 1] - curve[0, 1]
    return float(np.trapezoid(gain, curve[:, 0]) / curve[-1, 0])


def epochs_to(curve: np.ndarray, level: float) -> float:
    """Epoch at which the curve is first at the level; inf where it never is, 0 at the start."""
    reached = np.flatnonzero(curve[:, 1] >= level)
    if not len(reached):
        return np.inf
    i = int(reached[0])
    if i == 0:
        return 0.0
    (before, below), (after, above) = curve[i - 1], curve[i]
    return float(before + (after - before) * (level - below) / (above - below))


def derived_level(runs: Mapping[str, Sequence[np.ndarray]], fraction: float) -> float:
    """The reward at `fraction` of the way from the base model to where both arms end.

    `runs` has the curves of `COMPARED`, any number of seeds. The end is the lower of the two
    arms' mean final rewards: exchanging the arms gives the same level, so that it favours neither.
    NaN where an arm does not end above the base model.
    """
    curves = [runs[arm] for arm in COMPARED]
    end = shared_end([curve for of_arm in curves for curve in of_arm])
    finals = [np.mean([up_to(curve, end)[-1, 1] for curve in of_arm]) for of_arm in curves]
    start = float(np.mean([curve[0, 1] for of_arm in curves for curve in of_arm]))
    top = float(min(finals))
    return start + fraction * (top - start) if top > start else float("nan")


def of_shared_seeds(*arms: Curves) -> list[Curves]:
    """The runs of the training seeds that all arms have."""
    shared = sorted(set.intersection(*map(set, arms)))
    return [{seed: of_arm[seed] for seed in shared} for of_arm in arms]


def shared_level(arms: Mapping[str, Curves], fraction: float = LEVEL_FRACTION) -> float:
    """`derived_level` of the runs of `COMPARED`, of the training seeds that both have.

    NaN where they share no seed.
    """
    curves = of_shared_seeds(*(arms[arm] for arm in COMPARED))
    if not curves[0]:
        return float("nan")
    runs = {arm: [*of_arm.values()] for arm, of_arm in zip(COMPARED, curves, strict=True)}
    return derived_level(runs, fraction)


def shared_ends(arms: Sequence[Curves]) -> np.ndarray:
    """The last epoch that the arms' runs of a seed share (seeds,); all arms have the same seeds."""
    return np.array([shared_end([of_arm[seed] for of_arm in arms]) for seed in arms[0]])


def areas(arms: Sequence[Curves]) -> np.ndarray:
    """`area` of each arm's runs (arms, seeds), up to the last epoch that a seed's runs share."""
    ends = [*zip(arms[0], shared_ends(arms), strict=True)]
    return np.array([[area(up_to(of_arm[seed], end)) for seed, end in ends] for of_arm in arms])


def times_to(arms: Sequence[Curves], level: float) -> np.ndarray:
    """`epochs_to` the level of each arm's runs (arms, seeds)."""
    return np.array([[epochs_to(curve, level) for curve in of_arm.values()] for of_arm in arms])
