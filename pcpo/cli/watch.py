"""Watch trainings in the terminal: `python -m pcpo.cli.watch results/<scale>`."""

from __future__ import annotations

import argparse
import time
from functools import cache
from pathlib import Path
from typing import Any

from pcpo.cli.console import run, setup
from pcpo.config import ConfigError, load_experiment

ORDER = ("training", "stopped", "not started")  # others below, complete ones last
SILENT = 3  # a run that saved nothing for so many epochs may be dead


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="results/<scale>")
    parser.add_argument("--once", action="store_true", help="print the table and end")
    parser.add_argument("--every", type=float, default=5, help="seconds between two looks")
    args = parser.parse_args()
    if not args.results.is_dir():
        raise ValueError(f"{args.results} is no folder; give results/<scale>")

    from rich.console import Console
    from rich.live import Live

    setup()
    console = Console()
    if args.once or not console.is_terminal:
        console.print(table(args.results))
        return
    with Live(table(args.results), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(args.every)
            live.update(table(args.results), refresh=True)


def table(results: Path) -> Any:
    """The runs of a scale (configuration, arm, seed), those under way first.

    left, silent: hours:minutes:seconds to the last epoch, and since the last event.
    """
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from pcpo.records.progress import read_all

    found = read_all(results)
    complete = sum(one.state == "complete" for one in found)
    drawn = Table(
        title=f"{complete} of {len(found)} started runs are complete",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for column in ("run", "state"):
        drawn.add_column(column, no_wrap=True)
    for column in ("epoch", "reward", "clip", "s/epoch", "left", "silent"):
        drawn.add_column(column, justify="right", no_wrap=True)
    for one in sorted(found, key=lambda one: _rank(one.state)):
        epochs = epochs_of(one.experiment, results.resolve().name)
        pace = one.seconds
        quiet = one.state == "training" and pace and one.silent and one.silent > SILENT * pace
        state = f"{one.state}?" if quiet and (one.silent or 0) > 60 else one.state
        left = one.left(epochs) if epochs else None
        drawn.add_row(
            escape(f"{one.experiment.partition('_')[0]} {one.arm} {one.seed}"),
            state,
            f"{one.epoch}/{epochs or '?'}",
            _number(one.reward, ".4g"),
            _number(one.clip_fraction, ".3f"),
            _number(one.seconds, ".1f"),
            _clock(left),
            _clock(one.silent),
        )
    return drawn


@cache
def epochs_of(experiment: str, scale: str) -> int | None:
    """The epochs that an experiment is to have; None if config/ does not have it."""
    try:
        return load_experiment(experiment, scale).epochs
    except ConfigError:
        return None


def _rank(state: str) -> int:
    if state in ORDER:
        return ORDER.index(state)
    return len(ORDER) + (state == "complete")


def _clock(seconds: float | None) -> str:
    """0:00:05, 26:05:10."""
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


if __name__ == "__main__":
    run(main)
