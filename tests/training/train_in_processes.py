"""One run in as many processes as the launcher starts; see test_processes.py."""

import sys
from dataclasses import replace
from pathlib import Path

import pcpo.cli.console  # noqa: F401  (one thread per process; before torch is imported)

# isort: split
from pcpo.config import ModelSource, load_arm
from pcpo.training.loop import train
from pcpo.training.processes import Processes
from pcpo.training.rollout import roll_out
from pcpo.training.run import Run
from pcpo.training.run_folder import RunFolder
from tests.small import PROMPTS, brightness, experiment, place, policy
from tests.training.runs import HELD_OUT, HELD_OUT_PROMPTS

PLACES = [3, 0, 1, 2, 0, 2, 3, 1]


def chosen(number, epochs=2, sharding="none", gpus=1, precision="fp32", checkpointing=False):
    groups = {"prompts_per_iteration": 4, "images_per_prompt": 2} if number > 4 else {}
    return experiment(
        number,
        epochs=epochs,
        validation=HELD_OUT.model_copy(update={"every": 2}),
        batch={"images_per_iteration": 8, **groups},
        execution={
            "sharding": sharding,
            "gpus": gpus,
            "activation_checkpointing": bool(checkpointing),
        },
        precision=precision,
    )


def run(number, folder, epochs, sharding, source, precision="fp32", checkpointing=""):
    processes = Processes.start("cpu")
    own = chosen(number, epochs, sharding, processes.size, precision, checkpointing)
    model = policy({own.model: ModelSource(path=source)}, own, train=True)
    arm, prompts = load_arm("pcpo"), (PROMPTS, HELD_OUT_PROMPTS)
    shared = Run(own, arm, 0, model, brightness, *prompts, processes=processes)
    train(shared, RunFolder(Path(folder), "the same"), log=lambda message: None)
    return shared


def places(shared):
    """Rewards of a rollout of PLACES, which are its prompts: all processes' images, in order."""
    execution = shared.experiment.execution.model_copy(update={"rollout_batch": 4})
    larger = shared.experiment.model_copy(update={"execution": execution})
    own = replace(shared, experiment=larger, arm=load_arm("baseline"), reward=place)
    return roll_out(own, 1, PLACES).rewards.astype(int).tolist()


if __name__ == "__main__":
    number, folder, epochs, *rest = sys.argv[1:]
    shared = run(int(number), folder, int(epochs), *rest)
    found = places(shared)
    if shared.processes.is_main:
        print(f"processes: {shared.processes.size}, places: {found}")
    shared.processes.leave()
