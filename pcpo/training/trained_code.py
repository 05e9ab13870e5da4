"""Which code trained a run, and whether that code has changed since.

Snakemake reruns a training when its configuration changes, and not when its code does: a renamed
variable must not cost days of GPU time. A run's history has the digests of the sources that decide
its numbers. Editing them only prints a warning; you decide whether to accept the runs or to redo
them (`python -m pcpo.cli.code`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pcpo.records import history
from pcpo.records.sources import digests, exists, members, sources_of
from pcpo.training.set_aside import idle, set_aside


def training_sources(*rewards: str) -> tuple[str, ...]:
    """Sources on which a trained weight or a logged number depends, with those of the rewards.

    rewards: modules of pcpo/rewards. A module that no longer exists has no sources.
    """
    adapters = members("pcpo.policies")
    return tuple(
        sorted(
            {
                *sources_of("pcpo.training.loop", "pcpo.rewards", "pcpo.prompts.needs", *adapters),
                *(source for reward in rewards for source in reward_sources(reward)),
            }
        )
    )


def image_sources() -> tuple[str, ...]:
    """Sources on which an image depends if the weights are given: no part of the trainer."""
    adapters = members("pcpo.policies")
    making = ("pcpo.evaluation.generation", "pcpo.samplers", *adapters)
    return sources_of(*making, without=("pcpo.training",))


def reward_sources(reward: str) -> tuple[str, ...]:
    """Sources on which a reward's scores depend: its module, all its imports, and its loader.

    () if its module no longer exists.
    """
    module = f"pcpo.rewards.{reward}"
    return sources_of("pcpo.rewards", module) if exists(module) else ()


@dataclass(frozen=True)
class OlderRun:
    """A complete run, and the sources that have changed since it was trained.

    problem: why the sources are not known, if they are not.
    """

    folder: Path
    changed: tuple[str, ...]
    problem: str = ""


def code_digests(*rewards: str) -> dict[str, str]:
    """Digests of the sources of a training, with those of these rewards."""
    return digests(training_sources(*rewards))


def older_runs(runs: Path) -> list[OlderRun]:
    """Complete runs below `runs` (results/<scale>/runs) that other code trained, in part or whole.

    A run without a history counts as up to date, because its code is not known. A run with an
    unreadable history is included, with its problem.
    """
    found = []
    for manifest in sorted(runs.glob("*/*/*/checkpoints.csv")):
        try:
            if changed := changed_sources(manifest.parent):
                found.append(OlderRun(manifest.parent, changed))
        except (OSError, history.DamagedHistory) as error:
            found.append(OlderRun(manifest.parent, (), str(error)))
    return found


def changed_sources(run: Path) -> tuple[str, ...]:
    """Sources that differ between a run's code and the present code, or that only one has."""
    used = _used(run)
    here = code_digests(*_rewards_of(used))
    return tuple(
        sorted({name for code in used for name in code | here if code.get(name) != here.get(name)})
    )


def _used(run: Path) -> list[dict[str, str]]:
    """Digests of the code of each start since the run began from scratch or was accepted."""
    used: list[dict[str, str]] = []
    for event in history.read(run):
        if event["event"] == "accepted" or (event["event"] == "started" and not event["epoch"]):
            used = []
        if "code" in event:
            used.append(event["code"])
    return used


def _rewards_of(used: list[dict[str, str]]) -> list[str]:
    """The modules of rewards among them, without the parts that rewards share.

    A module that another reward imports is included too; it adds nothing new.
    """
    own = {Path(name).stem for code in used for name in code if name.startswith("rewards/")}
    return sorted(name for name in own if not name.startswith("_"))


def accept(run: Path) -> None:
    """Make the run count as trained by the present code."""
    history.append(run, "accepted", code=code_digests(*_rewards_of(_used(run))))


def redo(run: Path) -> Path | None:
    """Set a run aside, so that the workflow trains it from the start; returns where it is kept.

    Raises ValueError while a process trains it.
    """
    with idle(run):
        return set_aside(run, f"to be trained again: {', '.join(changed_sources(run))} changed")


def notice(older: list[OlderRun], scale: str) -> str:
    """A message to the user about such runs; "" if there are none."""
    unknown = [f"which code trained a run is not known: {r.problem}" for r in older if r.problem]
    older = [run for run in older if not run.problem]
    if not older:
        return "\n".join(unknown)
    changed = sorted({f"pcpo/{name}" for run in older for name in run.changed})
    shown = ", ".join(changed[:4]) + (f" and {len(changed) - 4} more" if len(changed) > 4 else "")
    return "\n".join(
        [
            *unknown,
            f"{len(older)} trained runs are of older code ({shown} changed since). They are kept.",
            f"  which ones:              python -m pcpo.cli.code --scale {scale}",
            f"  accept them as they are: python -m pcpo.cli.code --scale {scale} --accept",
            f"  set aside, train again:  python -m pcpo.cli.code --scale {scale} --redo",
        ]
    )
