"""Which code a run was trained by, and whether it is still the code that is here.

Snakemake reruns a training when its configuration changes, and not when its code does: days of
GPU time should not go for a renamed variable. So a run remembers the digests of the sources that
decide its numbers (in its history), and a difference is said aloud and left to the user: accept
the runs, or redo them (`python -m pcpo.cli.code`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pcpo.records import history
from pcpo.records.sources import digests, exists, members, sources_of
from pcpo.training.set_aside import idle, set_aside


def training_sources(*rewards: str) -> tuple[str, ...]:
    """What a trained weight or a logged number depends on, with the modules of these rewards.

    rewards: modules of pcpo/rewards. One that is gone has no sources.
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
    """What an image depends on that is made of given weights: no part of the trainer."""
    adapters = members("pcpo.policies")
    making = ("pcpo.evaluation.generation", "pcpo.samplers", *adapters)
    return sources_of(*making, without=("pcpo.training",))


def reward_sources(reward: str) -> tuple[str, ...]:
    """What a reward's scores depend on: its module, all that it imports, and what loads it.

    () where its module is gone.
    """
    module = f"pcpo.rewards.{reward}"
    return sources_of("pcpo.rewards", module) if exists(module) else ()


@dataclass(frozen=True)
class OlderRun:
    """A complete run, and the sources that have changed since it was trained.

    problem: why they are not known, where they are not.
    """

    folder: Path
    changed: tuple[str, ...]
    problem: str = ""


def code_digests(*rewards: str) -> dict[str, str]:
    """Digests of what a training depends on, with the modules of these rewards."""
    return digests(training_sources(*rewards))


def older_runs(runs: Path) -> list[OlderRun]:
    """Complete runs below `runs` (results/<scale>/runs) that other code trained, in part or whole.

    A run without a history counts as up to date: it cannot be told. One whose history cannot be
    read is among them with its problem.
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
    """Sources that differ between a run's code and ours, or that only one of the two has."""
    used = _used(run)
    here = code_digests(*_rewards_of(used))
    return tuple(
        sorted({name for code in used for name in code | here if code.get(name) != here.get(name)})
    )


def _used(run: Path) -> list[dict[str, str]]:
    """Digests of the code of each start since the run began anew, or was accepted."""
    used: list[dict[str, str]] = []
    for event in history.read(run):
        if event["event"] == "accepted" or (event["event"] == "started" and not event["epoch"]):
            used = []
        if "code" in event:
            used.append(event["code"])
    return used


def _rewards_of(used: list[dict[str, str]]) -> list[str]:
    """The modules of rewards among them, without the parts that rewards share.

    A module that another reward imports is one too, which adds nothing: its digest is wanted.
    """
    own = {Path(name).stem for code in used for name in code if name.startswith("rewards/")}
    return sorted(name for name in own if not name.startswith("_"))


def accept(run: Path) -> None:
    """Have the run count as one of the code that is here."""
    history.append(run, "accepted", code=code_digests(*_rewards_of(_used(run))))


def redo(run: Path) -> Path | None:
    """Set a run aside, so that the workflow trains it from the start; returns where it is kept.

    Raises ValueError while a process trains it.
    """
    with idle(run):
        return set_aside(run, f"to be trained again: {', '.join(changed_sources(run))} changed")


def notice(older: list[OlderRun], scale: str) -> str:
    """What to tell the user of such runs; "" without any."""
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
            f"  they are good as is:     python -m pcpo.cli.code --scale {scale} --accept",
            f"  set aside, train again:  python -m pcpo.cli.code --scale {scale} --redo",
        ]
    )
