"""Procedures on the gradient of each timestep at checkpoints (`pcpo.training.step_gradients`).

The largest step is the trained one whose weight is largest in the arm of native weights. With one
seed there is a value and no interval.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from pcpo.claims.estimate import Arms, Estimate, of_logs, of_runs, procedure
from pcpo.claims.evidence import Evidence, NotRun
from pcpo.records import frames

NATIVE = "matching"
Checkpoint = Literal["start", "early", "end"]  # the base model, the next one, the last one


@procedure()
def gradient_of_largest(
    evidence: Evidence, number: int, *, checkpoint: Checkpoint, arm: str = NATIVE
) -> Estimate:
    """Gradient norm of the largest step over the largest norm of all other steps.

    A geometric mean over runs. Above 1, no other step's gradient is larger.
    """
    (runs,) = evidence.seeds("gradients", number, [arm])
    logs = []
    for rows in runs.values():
        norms, largest = _logs(_steps(rows, checkpoint)["grad_norm"]), _largest(rows)
        logs.append(norms[largest] - norms.drop(largest).max())
    return of_logs(of_runs(logs, _named(runs)), "ratio")


@procedure()
def share_of_largest(
    evidence: Evidence, number: int, *, checkpoint: Checkpoint, arms: Arms = (NATIVE, "pcpo")
) -> Estimate:
    """Share of the largest step in the squared norm of the whole gradient, one arm minus another.

    The whole gradient G is the sum of the steps' gradients g, and |G|^2 that of g G. The first arm
    has the native weights.
    """
    one, other = evidence.seeds("gradients", number, arms)
    shares = [
        (_share(one[seed], checkpoint, largest), _share(other[seed], checkpoint, largest))
        for seed, largest in ((seed, _largest(rows)) for seed, rows in one.items())
    ]
    means = np.mean(shares, axis=0)
    why = f"{arms[0]} {means[0]:.3g}, {arms[1]} {means[1]:.3g}; {_named(one)}"
    return of_runs([native - own for native, own in shares], why)


@procedure()
def rise_of_largest(evidence: Evidence, number: int, *, arm: str = NATIVE) -> Estimate:
    """Rise of the gradient norm from start to end at the largest step over the others' mean rise.

    A rise is the norm at the end over that at the start; means over steps and runs are geometric.
    """
    (runs,) = evidence.seeds("gradients", number, [arm])
    logs = []
    for rows in runs.values():
        start, end = (_logs(_steps(rows, when)["grad_norm"]) for when in ("start", "end"))
        rises, largest = end - start, _largest(rows)
        logs.append(rises[largest] - rises.drop(largest).mean(skipna=False))
    return of_logs(of_runs(logs, _named(runs)), "ratio")


@procedure()
def gradient_signal(
    evidence: Evidence, number: int, *, checkpoint: Checkpoint, arms: Arms = ("pcpo", NATIVE)
) -> Estimate:
    """Signal to noise of the gradient of all steps together, one arm over another.

    The squared norm over its variance between groups of images; a geometric mean over runs.
    """
    one, other = (
        _logs(pd.Series({seed: _signal(rows, checkpoint) for seed, rows in runs.items()}))
        for runs in evidence.seeds("gradients", number, arms)
    )
    means = zip(arms, np.exp([one.mean(), other.mean()]), strict=True)
    why = ", ".join(f"{arm} {mean:.3g}" for arm, mean in means)
    return of_logs(of_runs(one - other, why), "ratio")


def _at(rows: pd.DataFrame, checkpoint: str) -> pd.DataFrame:
    """The rows of one checkpoint of a run, by step."""
    epochs = sorted(rows["epoch"].unique())
    if len(epochs) < (3 if checkpoint == "early" else 2):
        raise NotRun(f"gradients of the epochs {epochs} alone: no checkpoint '{checkpoint}'")
    epoch = epochs[{"start": 0, "early": 1, "end": -1}[checkpoint]]
    return rows[rows["epoch"] == epoch].set_index("step")


def _steps(rows: pd.DataFrame, checkpoint: str) -> pd.DataFrame:
    """The same without the row of all steps together. Raises NotRun for a single step."""
    own = _at(rows, checkpoint).drop(frames.WHOLE)
    if len(own) < 2:
        raise NotRun("gradients of a single timestep: there is no other to compare it with")
    return own


def _largest(rows: pd.DataFrame) -> int:
    return int(str(_steps(rows, "start")["weight"].idxmax()))


def _share(rows: pd.DataFrame, checkpoint: str, step: int) -> float:
    """0 for a step that the arm does not train."""
    own = _steps(rows, checkpoint)
    along = own["cosine"] * own["grad_norm"]  # along the whole gradient; their sum is its norm
    return float(along.get(step, 0.0) / along.sum())


def _signal(rows: pd.DataFrame, checkpoint: str) -> float:
    """Of all steps together."""
    return float(_at(rows, checkpoint)["signal_to_noise"][frames.WHOLE])


def _logs(values: pd.Series) -> pd.Series:
    """Logarithms; NaN of 0, which `of_runs` refuses with its reason."""
    logs: pd.Series = np.log(values.where(values > 0))
    return logs


def _named(runs: dict[int, pd.DataFrame]) -> str:
    """Which step is the largest, in all runs."""
    found = sorted({_largest(rows) for rows in runs.values()})
    return f"the largest weight is that of step {' or '.join(map(str, found))}, from 0"
