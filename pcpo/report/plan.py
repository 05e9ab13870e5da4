"""The expected cost of the runs, results/<scale>/plan.csv, where `snakemake plan` made it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pcpo.report.costs import Step
from pcpo.report.files import number, read_rows

_COLUMNS = ("experiment", "what", "runs", "images", "gpu_hours", "gpus", "gpu_gb", "disk_gb")


@dataclass(frozen=True)
class PlannedRow:
    """A line of the plan; `measured_hours`: of its trainings, NaN where none ran."""

    experiment: str
    what: str
    runs: float
    images: float
    gpu_hours: float
    gpus: float
    gpu_gb: float
    disk_gb: float
    measured_hours: float


def read_plan(root: Path, steps: list[Step]) -> list[PlannedRow]:
    """The plan's lines, [] where there is none; ValueError with the file's name if it is broken."""
    path = root / "plan.csv"
    if not path.exists():
        return []
    frame = read_rows(path, _COLUMNS)
    trained = [(j.run, j.gpu_hours) for step in steps for j in step.jobs if j.run and j.gpus]
    rows = []
    for n, record in enumerate(frame[list(_COLUMNS)].to_dict("records"), 1):
        experiment, what = str(record["experiment"]), str(record["what"])
        values = [number(str(record[c]), path, n, c) for c in _COLUMNS[2:]]
        own = [hours for run, hours in trained if (run.experiment, run.arm) == (experiment, what)]
        held = sum(own) if own else float("nan")
        named = dict(zip(_COLUMNS[2:], values, strict=True))
        rows.append(PlannedRow(experiment, what, **named, measured_hours=held))
    return rows
