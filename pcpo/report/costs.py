"""Cost of the steps: wall time, CPU time, memory and GPU-hours from Snakemake's benchmark files.

A training that was stopped and resumed counts from its first start. A job's GPU-hours are its wall
time times the GPUs that it asked for: reserved hours, not busy hours. Snakemake measures CPU time
and memory every half second of a job's first 15 seconds, then every 30 seconds, and not at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from pcpo.config import Experiment
from pcpo.records import history, provenance
from pcpo.report.files import number, read_rows

# Rules that ask for GPUs where the scale's device is cuda (rules/*.smk); `train` asks for as many
# as its experiment's execution.gpus, the others for one. Samples between models have a rule for
# each experiment.
GPU_STEPS = (
    *("train", "select", "generate_base", "generate", "evaluate", "align"),
    *("gradients", "study_pairs"),
)
GUIDANCE = "reward_guidance_"
_COLUMNS = ("s", "max_rss", "cpu_time")
_UNKNOWN = ("-", "NA")  # of a job that ended before it could be measured


@dataclass(frozen=True)
class Job:
    """`name` is the benchmark file's name. NaN: not measured.

    run: of a training, as in its record. problem: why a part of the cost is unknown, if it is.
    """

    step: str
    name: str
    seconds: float
    cpu_seconds: float
    memory_gb: float  # largest resident memory, 10^9 bytes
    gpus: int
    run: provenance.Run | None = None
    problem: str = ""

    @property
    def gpu_hours(self) -> float:
        return self.gpus * self.seconds / 3600


@dataclass(frozen=True)
class Step:
    name: str
    jobs: tuple[Job, ...]

    @property
    def seconds(self) -> float:
        return sum(job.seconds for job in self.jobs if job.seconds == job.seconds)

    @property
    def cpu_seconds(self) -> float:
        return sum(job.cpu_seconds for job in self.jobs if job.cpu_seconds == job.cpu_seconds)

    @property
    def gpu_hours(self) -> float:
        return sum(job.gpu_hours for job in self.jobs if job.seconds == job.seconds)

    @property
    def memory_gb(self) -> float:
        return max((j.memory_gb for j in self.jobs if j.memory_gb == j.memory_gb), default=0.0)


def read_costs(root: Path, experiments: Sequence[Experiment], device: str) -> list[Step]:
    """Steps of results/<scale>/benchmarks, the longest first.

    A benchmark or history that cannot be understood affects only its own job.
    """
    steps: dict[str, list[Job]] = {}
    for path in sorted((root / "benchmarks").glob("*/*.tsv")):
        step, name = path.parent.name, path.stem
        # A benchmark covers the last attempt; earlier attempts of a training are in its history.
        run, before, problems = None, 0.0, []
        seconds = cpu = memory = float("nan")
        try:
            seconds, cpu, memory = _measured(path)
        except ValueError as error:
            problems.append(str(error))
        try:
            if step == "train":
                run = provenance.run_of(root / "provenance" / step / f"{name}.json")
                before = _earlier_starts(root, run)
        except ValueError as error:
            problems.append(str(error))
        gpus = _gpus(step, run, experiments) if device == "cuda" else 0
        job = Job(step, name, seconds + before, cpu, memory, gpus, run, "; ".join(problems))
        steps.setdefault(step, []).append(job)
    found = [Step(step, tuple(jobs)) for step, jobs in steps.items()]
    return sorted(found, key=lambda step: -step.seconds)


def _measured(path: Path) -> tuple[float, float, float]:
    """Seconds, CPU seconds and memory in GB; ValueError where a file cannot be understood."""
    frame = read_rows(path, _COLUMNS, "\t")
    if not len(frame):
        raise ValueError(f"{path}: a benchmark without a row")
    seconds, memory, cpu = (_column(frame, column, path) for column in _COLUMNS)
    return sum(seconds), sum(cpu), max(memory) * 2**20 / 1e9


def _earlier_starts(root: Path, run: provenance.Run) -> float:
    """Seconds that a training ran, up to a last save or end, before the start that finished it.

    Raises DamagedHistory.
    """
    events = history.read(root / "runs" / run.experiment / run.arm / f"seed{run.seed}")
    return sum(seconds for seconds, _ in history.seconds_held(events)[:-1])


def _column(frame: pd.DataFrame, column: str, path: Path) -> list[float]:
    cells = ["" if cell in _UNKNOWN else cell for cell in frame[column]]
    return [number(cell, path, n, column) for n, cell in enumerate(cells, 1)]


def _gpus(step: str, run: provenance.Run | None, experiments: Sequence[Experiment]) -> int:
    if step not in GPU_STEPS and not step.startswith(GUIDANCE):
        return 0
    own = [e.execution.gpus for e in experiments if run is not None and e.name == run.experiment]
    return own[0] if own else 1
