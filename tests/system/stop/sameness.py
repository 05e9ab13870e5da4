"""Whether two results folders hold the same, byte for byte, and whether runs did each step once."""

import hashlib
from pathlib import PurePath

import pandas as pd

from pcpo.config import load_experiment
from pcpo.records import frames, history

# Told of the machine, the clock and the way there, not of the science.
VARIES = (
    "logs/**", "benchmarks/**", "provenance/**", "report.html",
    "runs/*/*/*/history.jsonl", "runs/*/*/*/lock", "runs/*/*/*/resume/*/SHA256SUMS",
    "claims.*",  # speed-ups in seconds
    ".*.lock", "selection/*/.*.lock", "tidy/*/.*.lock",  # who holds a file, or held it last
    "figures/figure7a.*", "figures/figure7d.*",  # the same, drawn
)  # fmt: skip
TIMED = "updates.parquet"  # compared without its column `seconds`


def contents(results):
    """Relative path -> digest, of every file of a results folder that must not vary."""
    return {
        path: _digest(results / path)
        for path in sorted(p.relative_to(results) for p in results.rglob("*") if p.is_file())
        if not any(_matches(path, pattern) for pattern in VARIES)
    }


def assert_same_results(one, other):
    """Every file that must not vary is there in both, and the same."""
    first, second = contents(one), contents(other)
    assert [p for p in first if p.match("tables/*.csv")], f"{one}: no table to compare"
    missing = {str(path) for path in first.keys() ^ second.keys()}
    different = [str(path) for path in first.keys() & second.keys() if first[path] != second[path]]
    assert not missing, f"only in one of {one} and {other}: {sorted(missing)}"
    assert not different, f"{one} and {other} differ in {sorted(different)}"


def assert_each_step_once(results):
    """Each run's log has every (epoch, update) once, and each start resumed from the last save.

    Returns the epochs that all starts of trainings resumed from.
    """
    starts = []
    manifests = sorted(results.glob("runs/*/*/*/checkpoints.csv"))
    assert manifests
    for run in (manifest.parent for manifest in manifests):
        updates = pd.read_parquet(run / "updates.parquet")
        assert not updates.duplicated([*frames.UPDATES.key]).any(), run
        chosen = load_experiment(run.parts[-3], results.name)
        expected = [
            (epoch, update)
            for epoch in range(1, chosen.epochs + 1)
            for update in range(1, chosen.batch.gradient_updates + 1)
        ]
        assert list(zip(updates["epoch"], updates["update"], strict=True)) == expected, run
        starts += assert_goes_on_from_what_was_saved(run)
    return starts


def assert_goes_on_from_what_was_saved(run):
    """The run's history: each start at the epoch saved last, each epoch saved once, one end.

    Returns the epochs of its starts.
    """
    saved, starts = 0, []
    events = history.read(run)
    for event in events:
        if event["event"] == "started":
            # A kill may come between a state's last rename and its line here.
            assert event["epoch"] in (saved, saved + 1), f"{run}: {events}"
            saved = event["epoch"]
            starts.append(saved)
        elif event["event"] == "saved":
            assert event["epoch"] == saved + 1, f"{run}: {events}"
            saved += 1
    assert starts, f"{run}: no start in {history.FILE}"
    assert events[-1]["event"] == "finished", f"{run}: {events}"
    return starts


def _matches(path, pattern):
    if pattern.endswith("/**"):
        return path.parts[0] == pattern.removesuffix("/**")
    return len(path.parts) == len(PurePath(pattern).parts) and path.match(pattern)


def _digest(file):
    if file.name != TIMED:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    rows = pd.read_parquet(file).drop(columns="seconds")
    return hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()
