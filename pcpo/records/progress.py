"""How far training runs are, read from their files while they may be written.

A training writes its frames with each saved state, so a run is seen as of its last save. Nothing is
locked and nothing is written here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from pcpo.paths import Paths, run_of
from pcpo.records import history

COLUMNS = ["epoch", "update", "reward_mean", "clip_fraction", "seconds"]
RECENT = 5  # epochs over which the time of an epoch is averaged
# Last event of a history -> what the run does.
STATES = {"started": "training", "saved": "training", "stopped": "stopped", "finished": "complete"}


@dataclass(frozen=True)
class Progress:
    """A run as of its last save; None where nothing was saved.

    state: training, stopped, complete, or the last event of its history. A killed process leaves no
    event, so a run with state training may be one that nobody trains: see `silent`.
    reward: mean of the last epoch's images. clip_fraction: mean over the last epoch's updates.
    seconds: of an epoch, mean over the last `RECENT`. silent: seconds since the last event.
    """

    experiment: str
    arm: str
    seed: int
    state: str
    epoch: int = 0
    reward: float | None = None
    clip_fraction: float | None = None
    seconds: float | None = None
    silent: float | None = None

    def left(self, epochs: int) -> float | None:
        """Seconds until epoch `epochs`, at the recent pace; None where it is not known."""
        if self.state != "training" or self.seconds is None:
            return None
        return max(0, epochs - self.epoch) * self.seconds


def read_all(root: Path, now: datetime | None = None) -> list[Progress]:
    """The runs below results/<scale> (`root`), sorted by experiment, arm and seed."""
    return [read(folder, now) for folder in runs(root)]


def runs(root: Path) -> Iterator[Path]:
    """Folders of the runs that were started."""
    parts = len(Path(Paths("scale").run).relative_to("results/scale").parts)
    for file in sorted(root.glob("/".join(["runs", *["*"] * (parts - 1), history.FILE]))):
        if run_of(file.with_name("updates.parquet")):
            yield file.parent


def read(run: Path, now: datetime | None = None) -> Progress:
    """One run. Raises DamagedHistory for a history that cannot be read."""
    of = run_of(run / "updates.parquet")
    events = history.read(run)
    state, silent = "not started", None
    if events:
        last = events[-1]
        state = STATES.get(last["event"], last["event"])
        then = datetime.fromisoformat(last["time"])
        silent = ((now or datetime.now(UTC)) - then).total_seconds()
    own = (of["experiment"], of["arm"], int(of["seed"]), state)
    updates = _updates(run)
    if updates is None or updates.empty:
        return Progress(*own, silent=silent)
    epochs = updates.groupby("epoch")
    return Progress(
        *own,
        epoch=int(updates["epoch"].max()),
        reward=float(epochs["reward_mean"].first().iloc[-1]),
        clip_fraction=float(epochs["clip_fraction"].mean().iloc[-1]),
        seconds=float(epochs["seconds"].sum().tail(RECENT).mean()),
        silent=silent,
    )


def _updates(run: Path) -> pd.DataFrame | None:
    """The newest saved rows of updates; None if there are none.

    A training deletes older states while this reads, so it looks again, a few times.
    """
    for _ in range(3):
        states = sorted(run.glob("resume/epoch_*/updates.parquet"), reverse=True)
        states = [path for path in states if not path.parent.suffix]
        for path in (*states, run / "updates.parquet"):
            try:
                return pd.read_parquet(path, columns=COLUMNS)
            except FileNotFoundError:
                continue
            except (OSError, ValueError):  # half deleted, or damaged: the training reports that
                continue
        if not states:
            return None
    return None
