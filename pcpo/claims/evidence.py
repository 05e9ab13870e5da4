"""The measurements of this run as procedures ask for them; `NotRun` where there are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import pandas as pd

from pcpo.analysis.curves import epoch_curves
from pcpo.tables.build import build, needs
from pcpo.tables.labels import by_number, scale_of
from pcpo.tables.matching import unmatched


class NotRun(Exception):
    """A claim needs something that this scale does not have; the message says what."""


class Evidence:
    """Frames of `pcpo.records.frames` by name (updates, timesteps, validation, gradients, overall,
    per_prompt, selection, alignment, credit, readings, reward_guidance, preference) and the
    experiments of one scale.

    A frame that is not given counts as not run. Every look-up raises `NotRun` with its reason.
    """

    def __init__(self, experiments: Sequence[Any], frames: Mapping[str, pd.DataFrame]) -> None:
        self.experiments = by_number(experiments)
        self.scale = scale_of(experiments)
        self._frames = frames
        self._tables: dict[str, pd.DataFrame] = {}

    def name(self, number: int) -> str:
        if number not in self.experiments:
            raise NotRun(f"configuration {number} is not part of this run")
        name: str = self.experiments[number].name
        return name

    def has(self, name: str) -> bool:
        """Whether a frame is there and has rows."""
        return name in self._frames and not self._frames[name].empty

    def frame(self, name: str) -> pd.DataFrame:
        if not self.has(name):
            raise NotRun(f"nothing in the frame '{name}'")
        return self._frames[name]

    def rows(self, frame: str, number: int, arm: str) -> pd.DataFrame:
        """The rows of a frame that belong to an arm of a configuration."""
        name = self.name(number)
        return _of(self.frame(frame), frame, name, number, arm)

    def curves(self, number: int, arm: str) -> dict[int, pd.DataFrame]:
        """Training seed -> one row per epoch (`pcpo.analysis.curves.epoch_curves`)."""
        name = self.name(number)
        return split(_of(self._curves, "updates", name, number, arm))

    def seeds(self, frame: str, number: int, arms: Sequence[str]) -> list[dict[int, pd.DataFrame]]:
        """For each arm: training seed -> its rows, for the seeds that all arms have.

        The base model is not trained: its rows are used for every seed.
        """
        found = {
            arm: self.curves(number, arm)
            if frame == "curves"
            else split(self.rows(frame, number, arm))
            for arm in arms
        }
        trained = [set(seeds) for arm, seeds in found.items() if arm != "base"]
        common = sorted(set.intersection(*trained))
        if not common:
            raise NotRun(f"configuration {number}: no training seed has all of {', '.join(arms)}")
        return [
            {seed: found[arm].get(seed, next(iter(found[arm].values()))) for seed in common}
            for arm in arms
        ]

    def table(self, name: str) -> pd.DataFrame:
        """One of the paper's tables from these frames, by row label, made by the table's code."""
        if name not in self._tables:
            frames = {frame: self.frame(frame) for frame in needs(name)}
            table = build(name, list(self.experiments.values()), frames)
            self._tables[name] = table.frame.set_index("row")
        return self._tables[name]

    def unmatched(self, number: int, arms: Sequence[str]) -> str:
        """Why the arms' checkpoints do not match in reward; "" where they do."""
        name, selection = self.name(number), self.frame("selection")
        for arm in arms:
            if arm in ("base", "baseline"):
                continue
            if not (selection["experiment"] == name).any():
                return "no checkpoints were selected"
            if why := unmatched(selection, [name], arm):
                return why
        return ""

    @cached_property
    def _curves(self) -> pd.DataFrame:
        return epoch_curves(self.frame("updates"))


def _of(frame: pd.DataFrame, what: str, name: str, number: int, arm: str) -> pd.DataFrame:
    rows = frame[(frame["experiment"] == name) & (frame["arm"] == arm)]
    if rows.empty:
        raise NotRun(f"configuration {number} has no rows of arm '{arm}' in the frame '{what}'")
    return rows


def split(rows: pd.DataFrame) -> dict[int, pd.DataFrame]:
    """Training seed -> its rows."""
    return {int(str(seed)): of_seed for seed, of_seed in rows.groupby("seed")}


def chosen(rows: pd.DataFrame, updates: str) -> pd.DataFrame:
    """Rows of an update log: `first` keeps those of on-policy updates, `all` all."""
    return rows[rows["update"] == 1] if updates == "first" else rows
