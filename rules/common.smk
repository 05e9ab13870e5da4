# The resolved configuration, and the functions that rules take their inputs from.

import os
import sys
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

from snakemake.cli import parse_args
from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake_interface_executor_plugins.registry import ExecutorPluginRegistry

from pcpo.archive.bundle import open_archive
from pcpo.config import TRAINING_FIELDS, arm_names
from pcpo.config import load_arm, load_experiment, load_scale
from pcpo.config.cuts import cuts
from pcpo.config.files import use_folder
from pcpo.config.scale import check_modules
from pcpo.config.settings import (
    NATIVE,
    chosen_container,
    chosen_experiments,
    chosen_sampler,
    chosen_seeds,
)
from pcpo.workflow.devices import visible
from pcpo.paths import FIGURES, TABLES, TABLE_SUFFIXES, Paths, table_files
from pcpo.prompts.needs import check_prompts
from pcpo.records.replace import explained
from pcpo.training.identity import other_runs
from pcpo.records.trained_code import notice, older_runs

# Jobs keep matplotlib's list of fonts with the run. The user's own folder may not be there, not be
# writable, or hold settings.
os.environ.setdefault("MPLCONFIGDIR", str(Path(".snakemake/matplotlib").absolute()))

KNOWN_KEYS = {
    *("scale", "experiments", "seeds", "evaluation_sampler"),
    *("from_bundle", "container"),
}
if unknown := sorted(set(config) - KNOWN_KEYS):
    raise WorkflowError(
        f"config: unknown key {', '.join(unknown)}; known: {', '.join(sorted(KNOWN_KEYS))}"
    )
# An archive comes with its own configuration and frames: everything below, and every command, reads
# the folder that it is unpacked to.
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
            for name in chosen_experiments(config["experiments"])
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
WORLD_REPORT = [P.world("accuracy.csv"), P.world("rewards.csv")] if SCALE.world else []
COMPARED = ("baseline", "pcpo")  # the arms of the paper's tables
BASES = {e.base_images: e.name for e in reversed(EXPERIMENTS.values())}
SEED = SEEDS[0]  # tables compare single runs; further seeds lie beside them
AVAILABLE = {e.number: e.name for e in EXPERIMENTS.values()}
READY_TABLES = [t for t in TABLES if set(TABLES[t].experiments) <= set(AVAILABLE)]
READY_FIGURES = [f for f in FIGURES if set(FIGURES[f].experiments) <= set(AVAILABLE)]


# An edit of the trainer does not train again: it is said, and left to the user.
if (
    not ARCHIVE
    and workflow.is_main_process
    and (older := notice(older_runs(Path(P.root) / "runs"), SCALE.name))
):
    logger.warning(older)

# A changed setting does, and what was trained before is kept.
PLACES = {
    Path(P.run.format(experiment=e.name, arm=arm, seed=seed)): (e, arm, seed)
    for e in EXPERIMENTS.values()
    for arm in e.arms
    for seed in SEEDS
}
if not ARCHIVE and workflow.is_main_process and (others := other_runs(PLACES)):
    logger.warning(others)


def code(*modules):
    """Sources whose edit redoes a cheap rule."""
    return [f"pcpo/{module}" for module in modules]


# What else the images hang on where each arm has its own sampler.
SAMPLER_CODE = [] if SAMPLER == NATIVE else code("credit.py")


def ready(folder, trained):
    """The file by which the workflow knows that a folder of weights is complete.

    The demo world's trainings write `trained` last; a download writes its manifest. What is not
    under data/ comes with a package.
    """
    if SCALE.world:
        return [f"{folder}/{trained}"]
    return [f"{folder}/assets.json"] if folder.startswith("data/") else []


def model_files(experiment):
    """What must be there before the experiment's base model can be loaded."""
    return ready(SCALE.models[experiment.model].path, "model_index.json")


def prompt_files(*names):
    return [SCALE.prompts[name] for name in names]


def training_prompts(experiment):
    validation = experiment.validation
    return [experiment.prompts] + ([validation.prompts] if validation else [])


def reward_files(*names):
    return sorted(
        {f for n in names for f in ready(SCALE.rewards[n].path, "accuracy.csv")}
    )


def reward_sources(*names):
    """What a scale says of rewards: a change of an option is a change of every score."""
    return {name: SCALE.rewards[name].model_dump(mode="json") for name in sorted(names)}


def alignment_rewards(experiment):
    """The rewards that score an experiment's images of unseen prompts."""
    return {r for d in experiment.alignment for r in SCALE.alignment[d].values()}


def feature_files():
    return [f for path in SCALE.features.values() for f in ready(path, "config.json")]


def executes_here():
    """Whether jobs run on this machine, by what the command line and the profiles say.

    A Snakefile is not told which executor there will be, and `--jobs` beside `--cores` says nothing
    of it: what Snakemake started with is read once more, by its own parser.
    """
    try:
        with redirect_stderr(StringIO()):  # which profiles it takes, a second time
            _, arguments = parse_args(sys.argv[1:])
    except SystemExit:  # started by another program, not from a command line
        return workflow.resource_settings.nodes is None
    plugin = ExecutorPluginRegistry().get_plugin(arguments.executor or "local")
    return plugin.common_settings.local_exec


# Whether jobs go to a cluster's scheduler, or this is one of them.
SCHEDULED = workflow.remote_exec or (workflow.is_main_process and not executes_here())


# On one machine, jobs side by side never ask for more GPUs than it has; one that wants more gets as
# many as divide its micro-batches. A scheduler knows its own GPUs: those of the machine that submits
# say nothing of them.
if SCALE.device == "cuda" and not SCHEDULED:
    workflow.global_resources.setdefault("gpu", max(1, len(visible())))


def gpus(experiment=None):
    """GPUs that a job asks for: one, or as many as an experiment's training shares."""
    if SCALE.device != "cuda":
        return 0
    if experiment is None:
        return 1
    # Snakemake cuts the number to a limit that it was given (`--resources gpu=N`): before it does,
    # find one that divides.
    limit = workflow.global_resources.get("gpu")
    limit = getattr(limit, "value", limit)
    most = experiment.execution.gpus if SCHEDULED else max(1, len(visible()))
    return experiment.processes_on(max(1, min(most, most if limit is None else limit)))


# --- what a scheduler is asked for; on one machine these numbers limit nothing ----------------
#
# A profile's `set-resources` comes before them. A job that was killed for memory or time comes back
# with more, as its `attempt` counts up.

# Host memory of a process at a real scale, in GB: the weights that it loads in the precision in
# which they are trained (FLUX 48, SD3.5 10), a text encoder, rewards, trajectories. [assumed]
HOST_GIGABYTES = {"sd14": 24, "sd15": 24, "sd35m": 40, "flux": 64}
CORES_PER_GPU = 4  # for a process and its compiler, and for images [assumed]


def memory(small, training=False):
    """Host memory in MB: `small` at a scale of small models, else of so many processes.

    Snakemake itself runs twice inside a cluster's job, about 175 MB each: part of `small`.
    """

    def megabytes(wildcards, attempt):
        base = small
        if SCALE.device == "cuda":
            name = wildcards.get("experiment") or BASES[wildcards.base]
            experiment = EXPERIMENTS[name]
            processes = experiment.execution.gpus if training else 1
            base = 1000 * HOST_GIGABYTES[experiment.model] * processes
        return base * (1 + attempt) // 2

    return megabytes


def hours(real):
    """Minutes of wall time: `real` hours at a real scale, one hour at a small one."""
    per_attempt = 60 * (real if SCALE.device == "cuda" else 1)
    return lambda wildcards, attempt: per_attempt * attempt


def cores(gpu):
    """Cores of a cluster's job, which Snakemake's `threads` does not know of."""
    return max(1, CORES_PER_GPU * gpu)


def run_files(wildcards):
    return [
        path.format(arm=arm, **wildcards)
        for arm in EXPERIMENTS[wildcards.experiment].measured
        for path in (P.manifest, P.updates)
    ]


def image_indices(wildcards):
    experiment = EXPERIMENTS[wildcards.experiment]
    return [P.base_index.format(base=experiment.base_images)] + [
        P.image_index.format(arm=arm, **wildcards) for arm in experiment.measured
    ]


def experiment_files(experiment):
    """Everything of an experiment: its arms, their selection, and what was measured on them."""
    measured = [P.selection, P.overall, P.per_prompt]
    measured += [P.alignment] if experiment.alignment else []
    return [
        P.manifest.format(experiment=experiment.name, arm=arm, seed=seed)
        for arm in experiment.arms
        for seed in SEEDS
    ] + [
        path.format(experiment=experiment.name, seed=seed)
        for path in measured
        for seed in SEEDS
    ]


def run_frames(frame, names, arms, seeds=SEEDS):
    """Files of a frame that every training run writes; `arms(experiment)` are those asked for."""
    return [
        getattr(P, frame).format(experiment=name, arm=arm, seed=seed)
        for name in names
        for arm in arms(EXPERIMENTS[name])
        for seed in seeds
    ]


def measured_frames(frame, names, seeds=SEEDS):
    """Files of a frame that every experiment is measured into."""
    return [
        getattr(P, frame).format(experiment=name, seed=seed)
        for name in names
        if frame != "alignment" or EXPERIMENTS[name].alignment
        for seed in seeds
    ]


def table_frame(frame, table):
    """Files of a frame for the experiments of a table, which compares single runs."""
    names = [AVAILABLE[number] for number in table.experiments]
    if frame != "updates":
        return measured_frames(frame, names, [SEED])

    def arms(experiment):
        return [*COMPARED, *(arm for arm in table.also if arm in experiment.arms)]

    return run_frames(frame, names, arms, [SEED])


def table_inputs(wildcards):
    table = TABLES[wildcards.table]
    return {frame: table_frame(frame, table) for frame in table.frames}


def table_cuts(table):
    """What stands below the table of its experiments' sizes: a change redraws it."""
    names = [AVAILABLE[number] for number in TABLES[table].experiments]
    return {name: cuts(name, SCALE.name) for name in names}


def compared_at(numbers):
    """Reward levels and published epochs are not in the frames: a change redraws."""
    chosen = [EXPERIMENTS[AVAILABLE[number]] for number in numbers]
    return [e.digest("evaluation", "alignment_checkpoint") for e in chosen]


# Words of a command line are lists, so that `{params.x:q}` quotes each of them.
def frame_options(wildcards, input):
    """The command line's `--<frame> FILE ...` for the inputs that are frames."""
    return [
        word
        for key in (
            "updates",
            "timesteps",
            "validation",
            "overall",
            "per_prompt",
            "selection",
            "alignment",
            "credit",
            "readings",
        )
        if key in input.keys()
        for word in (f"--{key.replace('_', '-')}", *input[key])
    ]


def figure_arms(spec):
    """The arms of a figure: those that it always has, and others that the scale trains."""
    trained = {a for n in spec.experiments for a in EXPERIMENTS[AVAILABLE[n]].arms}
    return [*spec.arms, *(arm for arm in spec.also if arm in trained)]


def figure_files(frame, spec):
    """Files of a frame for a figure: of every training seed where it is a run's."""
    names = [AVAILABLE[number] for number in spec.experiments]
    if frame in ("credit", "readings"):  # of no run
        return [getattr(P, frame)]
    if frame == "selection":  # images are of one training seed
        return measured_frames(frame, names, [SEED])
    return run_frames(frame, names, lambda experiment: figure_arms(spec))


def figure_rows(spec):
    """Rows of a sample grid, for each experiment: (arm, folder of images)."""
    experiments = [EXPERIMENTS[AVAILABLE[number]] for number in spec.experiments]
    return [
        (arm, folder)
        for e in experiments
        for arm, folder in [("base", P.base_images.format(base=e.base_images))]
        + [
            (arm, P.images.format(experiment=e.name, arm=arm, seed=SEED))
            for arm in figure_arms(spec)
        ]
    ]


def grid_rows(spec):
    """Rows of a sample grid, ARM=FOLDER each."""
    return [f"{arm}={folder}" for arm, folder in figure_rows(spec)]


def grid_options():
    """The command line's `--grid FIGURE ARM=FOLDER ...` for the figures that show images."""
    return [
        word
        for figure in READY_FIGURES
        if FIGURES[figure].kind == "sample_grid"
        for word in ("--grid", figure, *grid_rows(FIGURES[figure]))
    ]


def grid_images():
    """Indices of the images that they show."""
    return sorted(
        {
            f"{folder}/index.csv"
            for figure in READY_FIGURES
            if FIGURES[figure].kind == "sample_grid"
            for _, folder in figure_rows(FIGURES[figure])
        }
    )
