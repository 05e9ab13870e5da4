"""One run in as many processes as the launcher starts; see test_processes.py."""

import sys
from pathlib import Path

import pcpo.cli.console  # noqa: F401  (one thread per process; before torch is imported)

# isort: split
from pcpo.config import ModelSource, load_arm
from pcpo.training.loop import train
from pcpo.training.processes import Processes
from pcpo.training.run import Run
from pcpo.training.run_folder import RunFolder
from tests.small import PROMPTS, brightness, experiment, policy


def chosen(number, epochs=2, sharding="none", gpus=1, precision="fp32", checkpointing=False):
    groups = {"prompts_per_iteration": 4, "images_per_prompt": 2} if number > 4 else {}
    return experiment(
        number,
        epochs=epochs,
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
    shared = Run(own, load_arm("pcpo"), 0, model, brightness, PROMPTS, processes=processes)
    train(shared, RunFolder(Path(folder), "the same"), log=lambda message: None)
    return processes


if __name__ == "__main__":
    number, folder, epochs, *rest = sys.argv[1:]
    processes = run(int(number), folder, int(epochs), *rest)
    if processes.is_main:
        print(f"processes: {processes.size}")
    processes.leave()
