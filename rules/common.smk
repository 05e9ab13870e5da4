# The resolved configuration, and the functions that rules take their inputs from.

from pathlib import Path

from snakemake.exceptions import WorkflowError

from pcpo.config import TRAINING_FIELDS, arm_names, experiment_names
from pcpo.config import load_arm, load_experiment, load_scale
from pcpo.config.cuts import cuts
from pcpo.devices import visible
from pcpo.paths import FIGURES, TABLES, TABLE_SUFFIXES, Paths, table_files

KNOWN_KEYS = {"scale", "experiments", "seeds"}
if unknown := sorted(set(config) - KNOWN_KEYS):
    raise WorkflowError(
        f"config: unknown key {', '.join(unknown)}; known: {', '.join(sorted(KNOWN_KEYS))}"
    )
try:
    SCALE = load_scale(str(config["scale"]))
    chosen = config["experiments"]
    EXPERIMENTS = {
        experiment.name: experiment
        for experiment in (
            load_experiment(name, SCALE.name)
            for name in (experiment_names() if chosen == "all" else chosen)
        )
    }
except ValueError as error:
    raise WorkflowError(str(error)) from error
SEEDS = [int(seed) for seed in config["seeds"]]
P = Paths(SCALE.name)
WORLD_REPORT = [P.world("accuracy.csv"), P.world("rewards.csv")] if SCALE.world else []
COMPARED = ("baseline", "pcpo")  # the arms of the paper's tables
BASES = {e.base_images: e.name for e in reversed(EXPERIMENTS.values())}
SEED = SEEDS[0]  # tables compare single runs; further seeds lie beside them
AVAILABLE = {e.number: e.name for e in EXPERIMENTS.values()}
READY_TABLES = [t for t in TABLES if set(TABLES[t].experiments) <= set(AVAILABLE)]
READY_FIGURES = [f for f in FIGURES if set(FIGURES[f].experiments) <= set(AVAILABLE)]


def code(*modules):
    """Sources whose edit redoes a cheap rule."""
    return [f"pcpo/{module}" for module in modules]


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


def feature_files():
    return [f for path in SCALE.features.values() for f in ready(path, "config.json")]


# Jobs side by side never ask for more GPUs than there are; one that wants more gets them all. A
# cluster's profile has its own `resources: gpu=`, which is left as it is.
if SCALE.device == "cuda":
    workflow.global_resources.setdefault("gpu", max(1, len(visible())))


def gpus(experiment=None):
    """GPUs that a job asks for: one, or as many as an experiment's training shares."""
    if SCALE.device != "cuda":
        return 0
    return experiment.execution.gpus if experiment else 1


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


def frame_files(frame, numbers, arms=COMPARED):
    """Files of a frame for some experiments: what `--<frame>` of a table's or figure's command takes."""
    names = [AVAILABLE[number] for number in numbers]
    if frame in ("updates", "timesteps", "validation"):
        return [
            getattr(P, frame).format(experiment=n, arm=a, seed=SEED)
            for n in names
            for a in arms
        ]
    if frame == "credit":
        return [P.credit]
    return [getattr(P, frame).format(experiment=name, seed=SEED) for name in names]


def table_inputs(wildcards):
    table = TABLES[wildcards.table]
    return {frame: frame_files(frame, table.experiments) for frame in table.frames}


def table_cuts(table):
    """What stands below the table of its experiments' sizes: a change redraws it."""
    names = [AVAILABLE[number] for number in TABLES[table].experiments]
    return {name: cuts(name, SCALE.name) for name in names}


def frame_options(wildcards, input):
    """The command line's `--<frame> FILE ...` for the inputs that are frames."""
    return " ".join(
        f"--{key.replace('_', '-')} {' '.join(input[key])}"
        for key in (
            "updates",
            "timesteps",
            "validation",
            "overall",
            "per_prompt",
            "selection",
            "alignment",
            "credit",
        )
        if key in input.keys()
    )
