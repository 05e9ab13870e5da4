"""The workflow: from base models to the paper's tables, at a scale.

snakemake --cores all                 everything, at the scale of config/config.yaml
snakemake --cores all table3          one table and what it needs
snakemake --cores all experiment_05   one experiment, every arm, selected, sampled, measured
snakemake --cores all --config scale=smoke
"""

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

from pcpo.config import TRAINING_FIELDS, arm_names, experiment_names
from pcpo.config import load_arm, load_experiment, load_scale
from pcpo.paths import FIGURES, TABLES, TABLE_SUFFIXES, Paths, table_files

min_version("9.20")


configfile: "config/config.yaml"


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
COMPARED = ("baseline", "pcpo")  # the arms that are matched, sampled and measured
BASES = {e.base_images: e.name for e in reversed(EXPERIMENTS.values())}


wildcard_constraints:
    experiment="|".join(EXPERIMENTS),
    arm="|".join(arm_names()),
    seed=r"\d+",
    base="|".join(BASES),
    table="|".join(TABLES),


def code(*modules):
    """Sources whose edit redoes a cheap rule."""
    return [f"pcpo/{module}" for module in modules]


include: "rules/assets.smk"
include: "rules/train.smk"
include: "rules/select.smk"
include: "rules/generate.smk"
include: "rules/evaluate.smk"
include: "rules/report.smk"


rule all:
    default_target: True
    input:
        WORLD_REPORT,
        rules.tables.input,
        rules.figures.input,
        rules.compare.input,
        rules.experiments.input,
