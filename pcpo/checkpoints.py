"""A run's folder: checkpoints that others load, the state from which a run goes on, and its lock.

    <run>/checkpoints/epoch_00005/    weights in diffusers' layout, and checkpoint.json: of what run
    <run>/resume/                     state.safetensors, state.json, logs (newest only)
    <run>/lock                        held while a process trains here

Snakemake deletes a failed job's declared outputs, so none of these is declared: the job's outputs
are the manifest `checkpoints.csv` and `updates.parquet`, written when the run is complete.
"""

from __future__ import annotations

import csv
import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pcpo import frames
from pcpo.learner import Learner
from pcpo.policies.base import Policy

# What a run tells of itself, <name>.parquet each.
LOGS = (frames.UPDATES, frames.TIMESTEPS, frames.VALIDATION)


@dataclass
class RunState:
    """Where a run stands after an epoch: enough to go on as if it had never stopped."""

    epoch: int
    advantages: dict[str, Any]
    # Rows of each frame of LOGS, by its name.
    logs: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {spec.name: [] for spec in LOGS}
    )


def _replace_folder(part: Path, folder: Path) -> None:
    """Put a complete folder in place of an older one; never leaves a mixture of the two."""
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _full_disk_is_an_os_error(folder: Path) -> Iterator[None]:
    """safetensors has its own exception for a write that fails."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(f"{folder}: cannot be written: {error}") from error


class RunFolder:
    """The folder of one training run.

    fingerprint: of all that the run depends on; about: what its checkpoints say of themselves,
    for `verify_checkpoint`.
    """

    def __init__(
        self, path: Path, fingerprint: str, about: Mapping[str, str | int] | None = None
    ) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self.about = dict(about or {})

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep a second writer out. Raises BlockingIOError if another process trains here."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BlockingIOError(
                    f"{self.path}: another process is training this run; wait for it or stop it"
                ) from error
            yield

    def checkpoint(self, epoch: int) -> Path:
        return self.path / "checkpoints" / f"epoch_{epoch:05d}"

    def save_weights(self, policy: Policy, epoch: int, write: bool = True) -> None:
        """Write a checkpoint; without `write` only take part in gathering sharded weights."""
        folder = self.checkpoint(epoch)
        part = folder.with_name(folder.name + ".part")
        if not write:
            policy.save_weights(part, write=False)
            return
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        with _full_disk_is_an_os_error(part):
            policy.save_weights(part)
        (part / "checkpoint.json").write_text(json.dumps(self.about | {"epoch": epoch}, indent=1))
        _replace_folder(part, folder)

    # --- resuming -------------------------------------------------------------------------

    def save_state(self, state: RunState, learner: Learner, write: bool = True) -> None:
        """Write the resume state, all or nothing; without `write` only help to gather it."""
        tensors = {key: value.cpu().contiguous() for key, value in learner.tensors()}
        if not write:
            return
        part = self.path / "resume.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        with _full_disk_is_an_os_error(part):
            save_file(tensors, part / "state.safetensors")
        record = {
            "fingerprint": self.fingerprint,
            "epoch": state.epoch,
            "advantages": state.advantages,
            "scaler": learner.scaler.state_dict(),
        }
        (part / "state.json").write_text(json.dumps(record))
        for spec in LOGS:
            rows = pd.DataFrame(state.logs[spec.name])
            rows.to_parquet(part / f"{spec.name}.parquet", index=False)
        _replace_folder(part, self.path / "resume")

    def load_state(self, learner: Learner, due: Iterable[int] = ()) -> RunState | None:
        """Restore what an update changes; None where there is nothing to go on from.

        due: epochs that leave a checkpoint. Raises StaleState if the state is of another
        configuration or one of its checkpoints is gone, and ValueError if it is damaged.
        """
        folder = self.path / "resume"
        if not folder.exists() and (self.path / "resume.old").exists():
            (self.path / "resume.old").rename(folder)  # stopped between the two renames
        if not folder.exists():
            return None
        try:
            record = json.loads((folder / "state.json").read_text())
            if record["fingerprint"] != self.fingerprint:
                raise StaleState(f"{folder}: the state is of another configuration or model")
            for epoch in due:
                if epoch <= record["epoch"] and not self.checkpoint(epoch).is_dir():
                    raise StaleState(f"{self.checkpoint(epoch)}: this checkpoint is gone")
            tensors = load_file(folder / "state.safetensors")
            logs = {
                spec.name: pd.read_parquet(folder / f"{spec.name}.parquet").to_dict("records")
                for spec in LOGS
            }
            learner.restore(tensors, record["scaler"])
        except StaleState:
            raise
        except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
            raise ValueError(
                f"{folder}: the resume state is damaged ({error}); delete this folder to start over"
            ) from error
        rows = {
            name: [{str(k): v for k, v in row.items()} for row in log] for name, log in logs.items()
        }
        return RunState(record["epoch"], record["advantages"], rows)

    def clear(self) -> None:
        """Forget everything that an earlier configuration left here."""
        for name in ("checkpoints.csv", *(f"{spec.name}.parquet" for spec in LOGS)):
            (self.path / name).unlink(missing_ok=True)
        for name in ("resume", "resume.old", "resume.part", "checkpoints"):
            shutil.rmtree(self.path / name, ignore_errors=True)

    # --- outputs --------------------------------------------------------------------------

    def finish(self, epochs: list[int], state: RunState) -> None:
        """Write the declared outputs of a complete run."""
        for spec in LOGS:
            frame = frames.of_rows(state.logs[spec.name], spec)
            frames.write(frame, spec, self.path / f"{spec.name}.parquet")
        part = self.path / "checkpoints.csv.part"
        with part.open("w", newline="") as handle:
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(["epoch", "folder"])
            writer.writerows((e, self.checkpoint(e).relative_to(self.path)) for e in epochs)
        os.replace(part, self.path / "checkpoints.csv")


class StaleState(ValueError):
    """A resume state of another configuration or model, or without its checkpoints."""


_AGAIN = "delete {} so that the workflow trains the run again"


def read_manifest(path: Path) -> dict[int, Path]:
    """Epoch -> checkpoint folder of a complete run.

    Raises FileNotFoundError for a missing manifest or a checkpoint that it names, and ValueError
    for a damaged manifest.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: the run is not complete; train it first")
    try:
        with path.open(newline="") as handle:
            rows = list(csv.DictReader(handle))
        folders = {int(row["epoch"]): path.parent / row["folder"] for row in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: damaged manifest ({error}); {_AGAIN.format(path)}") from error
    if not folders:
        raise ValueError(f"{path}: the manifest is empty; {_AGAIN.format(path)}")
    for epoch, folder in folders.items():
        if not folder.is_dir():
            raise FileNotFoundError(
                f"{folder}: the checkpoint of epoch {epoch} is missing, though {path} names it; "
                f"{_AGAIN.format(path)}"
            )
    return folders


def verify_checkpoint(folder: Path, **expected: str | int) -> None:
    """Refuse a checkpoint that is not of the expected experiment, arm, base model, ...

    Raises ValueError that names the difference, and FileNotFoundError for a folder that does not
    say what it holds.
    """
    file = folder / "checkpoint.json"
    if not file.exists():
        raise FileNotFoundError(f"{file} is missing: this is no checkpoint of a run here")
    try:
        about = json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(f"{file}: damaged ({error}); train the run again") from error
    for key, value in expected.items():
        if about.get(key) != value:
            raise ValueError(
                f"{file}: {key} is {about.get(key)!r}, but {value!r} is needed: this checkpoint is "
                "of another run or base model; train the run again or give its own folder"
            )
