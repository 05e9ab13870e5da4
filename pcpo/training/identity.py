"""What identifies a training run: a run resumes only from a state of the same identity."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pcpo.config import TRAINING_FIELDS, Arm, Experiment, RewardSource, load_arm
from pcpo.records.digest import SHORT, of_text

OLDER = "its state is of an older version of pcpo"


def identity(
    experiment: Experiment,
    arm: Arm,
    seed: int,
    base: str,
    prompts: Sequence[str],
    reward: RewardSource,
) -> dict[str, Any]:
    """All that a run depends on, in JSON types; `base` is the digest of its base model."""
    weights = reward.weights_digest()
    return configuration(experiment, arm, seed) | {
        "prompts": of_text("\n".join(prompts))[:SHORT],
        "model": base,
        "reward": reward.model_dump(mode="json", exclude={"path"})
        | {"weights": weights and weights[:SHORT]},
    }


def configuration(experiment: Experiment, arm: Arm, seed: int) -> dict[str, Any]:
    """The part of a run's identity that comes from config/, without weights."""
    return {
        "experiment": experiment.identity(*TRAINING_FIELDS),
        "arm": arm.identity(),
        "seed": seed,
    }


def differences(old: Any, new: Any, name: str = "") -> list[str]:
    """A phrase for each value that differs between two JSON values: `a.b was 1 and is 2`."""
    if old == new:
        return []
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted({*old, *new})
        found = [
            differences(old.get(key), new.get(key), f"{name}.{key}".lstrip(".")) for key in keys
        ]
        return [phrase for phrases in found for phrase in phrases]
    return [f"{name or 'it'} was {json.dumps(old)} and is {json.dumps(new)}"]


def changed_configuration(run: Path, experiment: Experiment, arm: Arm, seed: int) -> list[str]:
    """What differs between config/ and the state that is saved in a run's folder.

    Empty where there is no state or it cannot be read: training reports what is wrong with it.
    """
    states = sorted(path for path in (run / "resume").glob("epoch_*") if not path.suffix)
    try:
        saved = json.loads((states[-1] / "state.json").read_text(encoding="utf-8"))
    except (IndexError, OSError, ValueError, RecursionError):
        return []
    if not isinstance(saved, dict):
        return []
    if "identity" not in saved:
        return [OLDER]
    now = json.loads(json.dumps(configuration(experiment, arm, seed)))
    if not isinstance(saved["identity"], dict):
        return differences(saved["identity"], now)
    return differences({key: saved["identity"].get(key) for key in now}, now)


def other_runs(runs: Mapping[Path, tuple[Experiment, str, int]]) -> str:
    """A message about the runs that the workflow will train again; "" if there are none.

    runs: folder -> experiment, arm and seed of the run to be trained there.
    """
    compared = {
        run: changed_configuration(run, experiment, load_arm(arm), seed)
        for run, (experiment, arm, seed) in runs.items()
    }
    changed = [f"  {run}: {'; '.join(what)}" for run, what in compared.items() if what]
    if not changed:
        return ""
    more = [f"  and {len(changed) - 5} more"] if len(changed) > 5 else []
    return "\n".join(
        [
            f"{len(changed)} runs are of another configuration than config/. Where one is trained "
            "again, what is there is set aside beside it, not deleted:",
            *changed[:5],
            *more,
            "  to list, restore or delete what is set aside: python -m pcpo.cli.aside",
        ]
    )
