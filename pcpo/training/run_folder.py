"""A run's folder: checkpoints that others load, the state from which a run resumes, and its lock.

    <run>/checkpoints/epoch_00005/    weights in diffusers' layout; checkpoint.json names the run,
                                      README.md is a model card
    <run>/resume/epoch_00005/         state.safetensors, state.json, logs: the newest two
    <run>/history.jsonl               every start, save and end, for as long as the folder exists
    <run>/lock                        held while a process trains here

Snakemake deletes a failed job's declared outputs, so none of these is declared. The declared
outputs are the manifest `checkpoints.csv` and the logs, written when the run is complete.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pcpo.policies.base import Policy
from pcpo.records import frame_file, frames, history
from pcpo.records.durable import DamagedFolder, check_folder, complete_folder
from pcpo.records.lock import alone
from pcpo.records.replace import new_file
from pcpo.training.identity import OLDER, differences
from pcpo.training.learner import Learner
from pcpo.training.set_aside import LOCK, MANIFEST, again

# The logs of a run, <name>.parquet each.
LOGS = (frames.UPDATES, frames.TIMESTEPS, frames.VALIDATION)


@dataclass
class RunState:
    """The state of a run after an epoch: enough to resume as if it had never stopped."""

    epoch: int
    advantages: dict[str, Any]
    clip_range: dict[str, float]  # of `ClipRange`
    # Rows of each frame of LOGS, by its name.
    logs: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {spec.name: [] for spec in LOGS}
    )
    # Epochs that left a checkpoint.
    checkpoints: list[int] = field(default_factory=list)

    def until(self, epoch: int) -> RunState:
        """The state without what came after `epoch`."""
        return RunState(
            min(self.epoch, epoch),
            self.advantages,
            self.clip_range,
            {n: [row for row in rows if row["epoch"] <= epoch] for n, rows in self.logs.items()},
            [saved for saved in self.checkpoints if saved <= epoch],
        )


class RunFolder:
    """The folder of one training run.

    identity: all that the run depends on, in JSON types. about: what its checkpoints and frames
    record (scale, experiment, arm, seed, base model). origin: what its history records of this
    start (code, machine, and in `sizes` what may change from start to start). card: epoch -> text
    of the checkpoint's README.md (`pcpo.training.model_card`); without it there is none.
    """

    def __init__(
        self,
        path: Path,
        identity: Any,
        about: Mapping[str, str | int] | None = None,
        origin: Mapping[str, Any] | None = None,
        card: Callable[[int], str] | None = None,
    ) -> None:
        self.path = path
        self.identity = json.loads(json.dumps(identity))
        self.about = dict(about or {})
        self.origin = dict(origin or {})
        self.card = card
        self._passed_over: list[Path] = []  # states that could not be used

    @contextmanager
    def lock(self, log: Callable[[str], None] = print) -> Iterator[None]:
        """Allow one writer only: wait until no other process trains here.

        The other process is one that a killed Snakemake left behind. When it has ended, this one
        resumes from what it saved. A killed process holds no lock.
        """
        with alone(
            self.path / LOCK,
            lambda holder: log(f"{self.path}: {holder} trains this run; waiting for its end"),
        ):
            yield

    def record(self, event: str, **details: Any) -> None:
        """Add a line to the run's history."""
        history.append(self.path, event, **details)

    def checkpoint(self, epoch: int) -> Path:
        return self.path / "checkpoints" / f"epoch_{epoch:05d}"

    def save_weights(self, policy: Policy, epoch: int, write: bool = True) -> None:
        """Write a checkpoint; without `write`, only help to gather sharded weights."""
        folder = self.checkpoint(epoch)
        if not write:
            policy.save_weights(folder, write=False)
            return
        with complete_folder(folder) as part:
            policy.save_weights(part)
            about = self.about | {"epoch": epoch}
            (part / "checkpoint.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
            if self.card is not None:
                text = self.card(epoch)
                (part / "README.md").write_text(text, encoding="utf-8", newline="\n")

    # --- resuming -------------------------------------------------------------------------

    def save_state(self, state: RunState, learner: Learner, write: bool = True) -> None:
        """Write the resume state, all or nothing; without `write`, only help to gather it.

        The previous state is kept as a fallback.
        """
        import pandas as pd

        tensors = {}
        for key, value in learner.tensors():  # gathered by all, kept by the one that writes
            if write:
                tensors[key] = value.cpu().contiguous()
        if not write:
            return
        for useless in self._passed_over:  # first, or the state that was used would be deleted
            shutil.rmtree(useless, ignore_errors=True)
        self._passed_over = []
        for older in self._states()[1:]:  # before writing: there may be no room for three
            shutil.rmtree(older)
        folder = self._state(state.epoch)
        with complete_folder(folder) as part:
            save_file(tensors, part / "state.safetensors")
            record = {
                "identity": self.identity,
                "sizes": self.origin.get("sizes", {}),
                "epoch": state.epoch,
                "checkpoints": state.checkpoints,
                "advantages": state.advantages,
                "clip_range": state.clip_range,
                "scaler": learner.scaler.state_dict(),
            }
            (part / "state.json").write_text(json.dumps(record), encoding="utf-8")
            for spec in LOGS:
                rows = pd.DataFrame(state.logs[spec.name])
                rows.to_parquet(part / f"{spec.name}.parquet", index=False)
        self.record("saved", epoch=state.epoch)

    def load_state(
        self, learner: Learner, epochs: int, log: Callable[[str], None] = print
    ) -> RunState | None:
        """Restore what an update changes; None if there is nothing to resume from.

        Where a state is damaged, or its checkpoints are missing, the previous one is used. Raises
        StaleState if the states are of another configuration, no checkpoints are left, or the run
        is past `epochs`, its last, without a checkpoint up to there. Raises ValueError if every
        state is damaged. After an error the learner is unchanged.
        """
        problems: list[ValueError] = []
        states = self._states()
        for position, folder in enumerate(states):
            try:
                record, tensors, logs = self._read_state(folder)
                for epoch in record["checkpoints"]:
                    if not self.checkpoint(epoch).is_dir():
                        raise StaleState(f"{self.checkpoint(epoch)}: this checkpoint is gone")
                state = RunState(
                    record["epoch"],
                    record["advantages"],
                    record.get("clip_range", {}),
                    logs,
                    record["checkpoints"],
                )
                if state.epoch > epochs and not state.until(epochs).checkpoints:
                    raise _OtherRun(
                        f"{folder}: the run is past epoch {epochs}, which is to be its last, and "
                        "has no checkpoint up to there"
                    )
                learner.restore(tensors, record["scaler"])
            except (_OtherRun, PermissionError):  # a missing permission is no damage
                raise
            except StaleState as gone:
                problems.append(gone)
                continue
            except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
                problems.append(ValueError(f"{folder}: the resume state is damaged: {error}"))
                continue
            self._passed_over = states[:position]
            for problem in problems:
                log(f"{problem}; going back to the state before it")
            for size in differences(record["sizes"], self.origin.get("sizes", {})):
                log(f"{size}; sums differ in their last bits from here on")
            return state
        if not problems:
            return None
        for problem in problems:
            if isinstance(problem, StaleState):
                raise problem
        found = "; ".join(map(str, problems))
        raise ValueError(f"{found}; {again(self.path)}") from problems[-1]

    def _state(self, epoch: int) -> Path:
        return self.path / "resume" / f"epoch_{epoch:05d}"

    def _states(self) -> list[Path]:
        """Resume states, the newest first."""
        folder = self.path / "resume"
        for old in folder.glob("epoch_*.old"):  # stopped between two renames
            if not old.with_suffix("").exists():
                with suppress(FileNotFoundError):  # another process of this run was faster
                    old.rename(old.with_suffix(""))
        return sorted((p for p in folder.glob("epoch_*") if not p.suffix), reverse=True)

    def _read_state(
        self, folder: Path
    ) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, list[dict[str, Any]]]]:
        import pandas as pd

        check_folder(folder)
        record = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        if record.get("identity") != self.identity:
            known = "identity" in record
            changed = differences(record["identity"], self.identity) if known else [OLDER]
            raise _OtherRun(
                f"{folder}: the state is of another configuration or model ({'; '.join(changed)})"
            )
        logs = {
            spec.name: [
                {str(key): value for key, value in row.items()}
                for row in pd.read_parquet(folder / f"{spec.name}.parquet").to_dict("records")
            ]
            for spec in LOGS
        }
        return record, load_file(folder / "state.safetensors"), logs

    # --- outputs --------------------------------------------------------------------------

    def finish(self, state: RunState) -> None:
        """Write the declared outputs of a complete run: its logs, and a manifest of checkpoints."""
        run = {k: self.about[k] for k in ("experiment", "arm", "seed") if k in self.about}
        for spec in LOGS:
            frame = frame_file.of_rows(state.logs[spec.name], spec)
            path, scale = self.path / f"{spec.name}.parquet", str(self.about.get("scale", ""))
            frame_file.write(frame, spec, path, scale, **run)
        with (
            new_file(self.path / MANIFEST) as part,
            part.open("w", encoding="utf-8", newline="") as handle,
        ):
            writer = csv.writer(handle, lineterminator="\n")
            writer.writerow(["epoch", "folder"])
            writer.writerows(
                (epoch, self.checkpoint(epoch).relative_to(self.path))
                for epoch in sorted(state.checkpoints)
            )
        for older in self._states()[1:]:
            shutil.rmtree(older)
        self.record("finished", epoch=state.epoch)


class StaleState(ValueError):
    """Resume states that are undamaged but that this run cannot resume from."""


class _OtherRun(StaleState):
    """Of another configuration, model or length: older states cannot be used either."""


# The training that the workflow then starts finds the run complete.
_AGAIN = "delete {} so that the workflow makes it again"


def read_manifest(path: Path) -> dict[int, Path]:
    """Epoch -> checkpoint folder of a complete run.

    Raises FileNotFoundError for a missing manifest or a checkpoint that it names, and ValueError
    for a damaged manifest.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: the run is not complete; train it first")
    try:
        with path.open(newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
        folders = {int(row["epoch"]): path.parent / row["folder"] for row in rows}
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise ValueError(f"{path}: damaged manifest ({error}); {_AGAIN.format(path)}") from error
    if not folders:
        raise ValueError(f"{path}: the manifest is empty; {_AGAIN.format(path)}")
    for epoch, folder in folders.items():
        if not folder.is_dir():
            raise FileNotFoundError(
                f"{folder}: the checkpoint of epoch {epoch} is missing, though {path} names it; "
                f"{again(path.parent)}"
            )
    return folders


def verify_checkpoint(folder: Path, **expected: str | int) -> None:
    """Refuse a damaged checkpoint, and one that is not of the expected experiment, arm, base, ...

    Raises ValueError that names the damaged file or the difference, and FileNotFoundError for a
    folder without a record of its contents.
    """
    file = folder / "checkpoint.json"
    if not file.exists():
        raise FileNotFoundError(f"{file} is missing: this is no checkpoint of a run here")
    try:
        check_folder(folder)
    except DamagedFolder as error:
        raise ValueError(f"{error}; {again(folder.parent.parent)}") from error
    about = json.loads(file.read_text(encoding="utf-8"))
    for key, value in expected.items():
        if about.get(key) != value:
            raise ValueError(
                f"{file}: {key} is {about.get(key)!r}, but {value!r} is needed: this checkpoint is "
                "of another run or base model; train the run again or give its own folder"
            )
