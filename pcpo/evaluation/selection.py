"""Which checkpoints are compared: the baseline's first crossing of a reward level, and PCPO's
checkpoint nearest to it in selection reward. `pcpo.analysis.reward_levels` chooses the level.

Appendix B.2.1 pinpoints "the exact epoch where reward levels converge on a validation set of ...
seed-controlled images". Rewards are compared image by image: the same prompt and the same noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pcpo.analysis.reward_levels import too_short
from pcpo.config import Evaluation
from pcpo.stats.speedup import WINDOW, first_crossing

SCREENED = 3  # checkpoints that remain after a screening on fewer images

# epoch -> selection rewards of that checkpoint's images, in one fixed order of (prompt, image_seed)
Measure = Callable[[int], NDArray[np.float64]]


@dataclass(frozen=True)
class Selected:
    """A row of `frames.SELECTION`, without its key."""

    level: float
    level_reached: bool
    crossing_epoch: int
    epoch: int
    selection_reward: float
    selection_reward_se: float
    difference: float
    difference_se: float
    tolerance: float
    matched: bool
    bracketed: bool
    reason: str


def _checkpoint_at(epoch: int, epochs: Sequence[int]) -> int:
    """The first checkpoint at or after `epoch`, else the last one."""
    return min((e for e in epochs if e >= epoch), default=max(epochs))


def _why_not(rewards: NDArray[np.float64], level: float) -> str:
    """Why a run does not cross: too short, no level, or always below it."""
    if len(rewards) < WINDOW:
        return too_short(len(rewards))
    if math.isnan(level):
        return "no level is reached by both arms"
    return f"its trailing mean never reaches {level:.4g}"


def _standard_error(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def select_baseline(
    rewards: NDArray[np.float64], level: float, epochs: Sequence[int], measure: Measure
) -> Selected:
    """The baseline's checkpoint at its first crossing of `level`.

    rewards: mean training reward per epoch. Where the run never reaches the level (also if the
    level is NaN, or the run shorter than the trailing mean), the last checkpoint is selected, and
    the row says so.
    """
    crossing = first_crossing(rewards, level)
    epoch = _checkpoint_at(crossing if crossing is not None else len(rewards), epochs)
    values = measure(epoch)
    if crossing is None:
        reason = f"{_why_not(rewards, level)}; the last checkpoint is selected"
    elif epoch == crossing:
        reason = f"first epoch whose trailing mean reaches {level:.4g}"
    else:
        reason = f"first checkpoint after the crossing of {level:.4g} at epoch {crossing}"
    return Selected(
        level=level,
        level_reached=crossing is not None,
        crossing_epoch=-1 if crossing is None else crossing,
        epoch=epoch,
        selection_reward=float(values.mean()),
        selection_reward_se=_standard_error(values),
        difference=0.0,
        difference_se=0.0,
        tolerance=0.0,
        matched=crossing is not None,
        bracketed=False,
        reason=reason,
    )


def select_matched(
    rewards: NDArray[np.float64],
    baseline: Selected,
    epochs: Sequence[int],
    measure: Measure,
    reference: NDArray[np.float64],
    evaluation: Evaluation,
    screen: Measure | None = None,
    screened: NDArray[np.bool_] | None = None,
) -> Selected:
    """The checkpoint nearest to the baseline's in selection reward.

    reference: selection rewards of the baseline's checkpoint, paired with those of `measure`.
    Candidates are the checkpoints within `candidate_window` epochs of the arm's own crossing, and
    the nearest one on either side of it. `screen` scores a checkpoint only on the images `screened`
    of the full set. With it, the candidates are screened first and only the `SCREENED`
    nearest are scored in full. Of equally near ones the earlier is selected.

    A match is accepted within the tolerance or within two paired standard errors. Of two
    neighbouring checkpoints on either side of the baseline's reward, the one not below it is
    selected, to the arm's disadvantage (as in the paper for DanceGRPO), unless that loses a match.
    """
    crossing = first_crossing(rewards, baseline.level)
    centre = crossing if crossing is not None else len(rewards)
    beside = {*[e for e in epochs if e < centre][-1:], _checkpoint_at(centre, epochs)}
    window = evaluation.candidate_window
    candidates = [e for e in epochs if abs(e - centre) <= window or e in beside]
    searched = f"{len(candidates)} checkpoints (epochs {candidates[0]}-{candidates[-1]})"
    kept = candidates
    if screen is not None and screened is not None and len(candidates) > SCREENED:
        rough = {e: abs(float((screen(e) - reference[screened]).mean())) for e in candidates}
        kept = sorted(sorted(candidates, key=lambda e: (rough[e], e))[:SCREENED])
    values = {epoch: measure(epoch) for epoch in kept}
    difference = {epoch: float((values[epoch] - reference).mean()) for epoch in kept}

    def accepted(epoch: int) -> float:
        return max(evaluation.tolerance, 2 * _standard_error(values[epoch] - reference))

    def matches(epoch: int) -> bool:
        return abs(difference[epoch]) <= accepted(epoch)

    best = nearest = min(kept, key=lambda e: (abs(difference[e]), e))
    if difference[nearest] < 0:
        at = candidates.index(nearest)
        neighbours = (*candidates[max(at - 1, 0) : at], *candidates[at + 1 :][:1])
        above = [e for e in neighbours if e in values and difference[e] >= 0]
        taken = [e for e in above if matches(e)]
        if not taken and not matches(nearest):
            taken = above
        best = min(taken, key=lambda e: (difference[e], e), default=nearest)
    bracketed = best != nearest
    error = _standard_error(values[best] - reference)
    near = matches(best)
    reason = (
        f"nearest of {searched} in selection reward; difference {difference[best]:+.4g} "
        f"{'within' if near else 'beyond'} {accepted(best):.3g} "
        f"(tolerance {evaluation.tolerance:g}, two paired standard errors {2 * error:.3g})"
    )
    if bracketed:
        reason += "; the neighbour not below the baseline is taken"
    if crossing is None:
        reason += f"; {_why_not(rewards, baseline.level)}"
    return Selected(
        level=baseline.level,
        level_reached=crossing is not None,
        crossing_epoch=-1 if crossing is None else crossing,
        epoch=best,
        selection_reward=float(values[best].mean()),
        selection_reward_se=_standard_error(values[best]),
        difference=difference[best],
        difference_se=error,
        tolerance=evaluation.tolerance,
        matched=near and baseline.matched,
        bracketed=bracketed,
        reason=reason,
    )
