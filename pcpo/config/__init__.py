"""Experiments: one YAML file is one column of the paper's Table 7, and a scale changes its sizes.

An experiment is resolved from these layers; later ones override earlier ones:

    config/defaults.yaml `common`, then the block of its algorithm   values that Table 7 lacks
    config/experiments/<name>.yaml                                    the column of Table 7
    config/presets/<preset>.yaml `all`, then `experiments.<name>`     where the scale names one
    config/scale/<scale>.yaml `all`                                   sizes of the scale
    config/scale/<scale>.yaml `experiments.<name>`                    sizes of this experiment there
    config/variants/<variant>.yaml, or a cell of config/grid.yaml     what a variant of it changes

A scale may change sizes and the numbers that depend on them (`SCALE_MAY_CHANGE`), never the method;
a preset or a variant may change anything. A variant exists at the scales that it names.
`pcpo.config.scale_differences` lists how a scale differs from the paper's. This module imports only
the standard library, pydantic and yaml, because a Snakefile imports it.
"""

from pcpo.config.arms import Arm, arm_names, load_arm
from pcpo.config.at_scale import experiments_at
from pcpo.config.execution import Execution
from pcpo.config.experiment import (
    EMA,
    TRAINING_FIELDS,
    Advantage,
    Batch,
    Evaluation,
    Experiment,
    LoRA,
    Optimizer,
    Reward,
    Sampler,
    Timesteps,
    Validation,
)
from pcpo.config.files import ConfigError
from pcpo.config.preset import Preset, load_preset
from pcpo.config.resolve import load_experiment, load_experiments
from pcpo.config.scale import (
    SCALE_MAY_CHANGE,
    FeatureSource,
    ModelSource,
    RewardSource,
    Scale,
    experiment_names,
    load_scale,
)

__all__ = [
    "EMA",
    "SCALE_MAY_CHANGE",
    "TRAINING_FIELDS",
    "Advantage",
    "Arm",
    "Batch",
    "ConfigError",
    "Evaluation",
    "Execution",
    "Experiment",
    "FeatureSource",
    "LoRA",
    "ModelSource",
    "Optimizer",
    "Preset",
    "Reward",
    "RewardSource",
    "Sampler",
    "Scale",
    "Timesteps",
    "Validation",
    "arm_names",
    "experiment_names",
    "experiments_at",
    "load_arm",
    "load_experiment",
    "load_experiments",
    "load_preset",
    "load_scale",
]
