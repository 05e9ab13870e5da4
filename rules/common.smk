# The resolved configuration, and the functions that give rules their inputs and resources.

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from pcpo.archive.bundle import open_archive
from pcpo.config import TRAINING_FIELDS, arm_names
from pcpo.config import load_arm, load_experiment, load_scale
from pcpo.config.files import use_folder
from pcpo.config.gradients import measured_epochs
from pcpo.config.scale import check_modules
from pcpo.config.settings import (
    NATIVE,
    chosen_container,
    chosen_experiments,
    chosen_sampler,
    chosen_seeds,
)
from pcpo.paths import Paths
from pcpo.prompts.needs import check_prompts
from pcpo.records.replace import explained
from pcpo.records.sources import members
from pcpo.training.trained_code import notice, older_runs
from pcpo.tables import TABLES
from pcpo.training.identity import other_runs
from pcpo.workflow import inputs, resources
from pcpo.workflow.devices import visible
from pcpo.workflow.executor import executes_here, without_job_limit
from pcpo.workflow.frames import frame_options
from pcpo.workflow.inputs import code, frames_code, measuring_code, synthetic_code
from pcpo.workflow.targets import Targets

# Jobs keep matplotlib's list of fonts with the run: the user's own folder may be missing, not
# writable, or contain settings.
os.environ.setdefault("MPLCONFIGDIR", str(Path(".snakemake/matplotlib").absolute()))

KNOWN_KEYS = {
    *("scale", "experiments", "seeds", "evaluation_sampler"),
    *("from_bundle", "container"),
}
if unknown := sorted(set(config) - KNOWN_KEYS):
    raise WorkflowError(
        f"config: unknown key {', '.join(unknown)}; known: {', '.join(sorted(KNOWN_KEYS))}"
    )
# An archive has its own configuration and frames: everything below, and every command, reads the
# folder to which it is unpacked.
ARCHIVE = None
HOME = ""
if "from_bundle" in config:
    try:
        ARCHIVE = open_archive(
            Path(str(config["from_bundle"])), Path("results/bundles")
        )
    except ValueError as error:
        raise WorkflowError(str(error)) from error
    except OSError as error:
        raise WorkflowError(explained(error)) from error
    HOME = f"{ARCHIVE.folder}/"
    use_folder(Path(f"{HOME}config"))
    config["scale"] = ARCHIVE.scale
    config["experiments"] = list(ARCHIVE.experiments)
    config["seeds"] = list(ARCHIVE.seeds)
try:
    SCALE = load_scale(str(config["scale"]))
    EXPERIMENTS = {
        experiment.name: experiment
        for experiment in (
            load_experiment(name, SCALE.name)
            for name in chosen_experiments(config["experiments"], SCALE.name)
        )
    }
    SEEDS = chosen_seeds(config["seeds"])
    SAMPLER = chosen_sampler(config.get("evaluation_sampler", NATIVE))
    if "container" in config:
        chosen_container(config["container"])
    if not ARCHIVE:
        check_modules(SCALE)
        if workflow.is_main_process:
            check_prompts(SCALE, EXPERIMENTS.values())
except ValueError as error:
    raise WorkflowError(str(error)) from error
except OSError as error:
    raise WorkflowError(explained(error)) from error
if ARCHIVE and SAMPLER != NATIVE:
    raise WorkflowError(
        "from_bundle: an archive holds the native sampler's results alone; leave "
        "evaluation_sampler out"
    )
P = Paths(SCALE.name, HOME, SAMPLER)
T = Targets(SCALE, EXPERIMENTS, SEEDS, P)

if not ARCHIVE and workflow.is_main_process:
    # Editing the trainer only prints a warning; you decide whether to retrain.
    if older := notice(older_runs(Path(P.root) / "runs"), SCALE.name):
        logger.warning(older)
    # A changed setting trains the run again; the old run is kept.
    if others := other_runs(T.runs()):
        logger.warning(others)


# Where each arm's own sampler makes its images, they also depend on the credit code.
SAMPLER_MODULES = [] if SAMPLER == NATIVE else ["pcpo.credit"]


def model_files(wildcards):
    return inputs.model_files(SCALE, T.of(wildcards))


# Whether jobs go to a cluster's scheduler, or this process is such a job.
SCHEDULED = workflow.remote_exec or (
    workflow.is_main_process
    and not executes_here(sys.argv[1:], workflow.resource_settings.nodes is None)
)


onstart:
    if not SCHEDULED:
        without_job_limit(workflow.scheduler)


# On one machine, parallel jobs never request more GPUs than it has; a job that wants more gets a
# number that divides its micro-batches. With a scheduler, the GPUs of the submitting machine do not
# matter.
GPUS_HERE = None
if SCALE.device == "cuda" and not SCHEDULED:
    GPUS_HERE = max(1, len(visible()))
    workflow.global_resources.setdefault("gpu", GPUS_HERE)


def gpus(experiment=None):
    limit = workflow.global_resources.get("gpu")
    return resources.gpus(SCALE, experiment, getattr(limit, "value", limit), GPUS_HERE)


def cores(experiment=None):
    return resources.cores(gpus(experiment))


def memory(small, training=False, name=None):
    """Megabytes of a job, by the size of its experiment if it has one; `name`: without wildcard."""

    def megabytes(wildcards, attempt):
        experiment = None
        if SCALE.device == "cuda":
            experiment = EXPERIMENTS[name] if name else T.of(wildcards)
        return resources.memory(SCALE, small, experiment, attempt, training)

    return megabytes


def hours(real):
    return lambda wildcards, attempt: resources.minutes(SCALE, real, attempt)


def refusal(name, why):
    """The input of a target that this run cannot make."""

    def raised(wildcards):
        raise WorkflowError(f"{name}: {why}")

    return raised
