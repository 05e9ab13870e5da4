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


def table_frame(frame, numbers):
    """Files of a frame for the experiments of a table, which compares single runs."""
    names = [AVAILABLE[number] for number in numbers]
    if frame == "updates":
        return run_frames(frame, names, lambda experiment: COMPARED, [SEED])
    return measured_frames(frame, names, [SEED])


def table_inputs(wildcards):
    table = TABLES[wildcards.table]
    return {frame: table_frame(frame, table.experiments) for frame in table.frames}


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


def figure_arms(spec):
    """The arms of a figure: those that it always has, and others that the scale trains."""
    trained = set.union(
        *(set(EXPERIMENTS[AVAILABLE[n]].arms) for n in spec.experiments)
    )
    return [*spec.arms, *(arm for arm in spec.also if arm in trained)]


def figure_files(frame, spec):
    """Files of a frame for a figure: of every training seed where it is a run's."""
    names = [AVAILABLE[number] for number in spec.experiments]
    if frame == "credit":
        return [P.credit]
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
