"""Figure 7: PCPO and the baseline beside a heuristic that is meant to accelerate training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from pcpo.analysis.curves import RUN, epoch_curves
from pcpo.figures import style
from pcpo.figures.seed_bands import draw_band, draw_reward, seed_band
from pcpo.records import frames

TITLE = "Heuristic acceleration"
CAPTION = (
    "PCPO and the baseline beside a heuristic: training the baseline on half of the timesteps "
    "(Figure 7a), or uniform weights, which weigh the noisy steps more than the sampler does "
    "(Figure 7d). Left: training reward by epoch; middle: the same by wall time, the sum of the "
    "logged seconds of all epochs so far on the machine of that run, mean over seeds; right: clip "
    "fraction over all updates of an epoch. Moving average of {window} epochs. With one seed, the "
    "band of the reward is one standard error of the epoch's mean over its images."
)


@style.draws(frames.UPDATES)
def heuristics(
    updates: pd.DataFrame,
    experiments: Sequence[Any],
    arms: Sequence[str] = ("baseline", "pcpo", "half_timesteps", "uniform"),
    window: int = style.WINDOW,
) -> Figure:
    """One row per experiment: reward by epoch, reward by wall time, clip fraction by epoch."""
    figure, axes = style.panels(max(1, len(experiments)), 3, height=2.2)
    curves = _with_wall_time(updates)
    for row, experiment in zip(axes, experiments, strict=False):
        by_epoch, by_time, clip = row
        by_time.set_title(style.title(experiment))
        rows = curves[curves["experiment"] == experiment.name]
        # The same unit for all arms of an experiment.
        unit, seconds = _unit(rows["elapsed"].max())
        drawn = [arm for arm in arms if arm in set(rows["arm"])]
        for arm in drawn:
            runs = rows[rows["arm"] == arm]
            draw_reward(by_epoch, runs, arm, window)
            reward = seed_band(runs, "reward_mean", window=window)
            elapsed = seed_band(runs, "elapsed")["mean"] / seconds
            draw_band(by_time, reward.assign(epoch=elapsed), arm)
            draw_band(clip, seed_band(runs, "clip_fraction", window=window), arm)
        if drawn:
            style.from_zero(clip)
        else:
            style.no_data(*row)
        style.epochs(by_epoch, clip)
        by_time.set_xlabel(f"wall time ({unit})")
        for panel, label in zip(
            row, ("training reward",) * 2 + ("clip fraction, overall",), strict=True
        ):
            panel.set_ylabel(label)
    style.legend_below(figure, axes.flat)
    return figure


def _unit(longest: float) -> tuple[str, int]:
    for unit, seconds in (("hours", 3600), ("minutes", 60)):
        if longest > 2 * seconds:
            return unit, seconds
    return "seconds", 1


def _with_wall_time(updates: pd.DataFrame) -> pd.DataFrame:
    """Epoch curves with `elapsed`: seconds of training until the end of the epoch."""
    curves = epoch_curves(updates)
    seconds = updates.groupby([*RUN, "epoch"])["seconds"].sum()
    elapsed = seconds.groupby(RUN).cumsum().rename("elapsed").reset_index()
    return curves.merge(elapsed, on=[*RUN, "epoch"], how="left")
