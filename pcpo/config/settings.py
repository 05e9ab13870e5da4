"""What config/config.yaml and `--config` say beside the scale: experiments, seeds, sampler."""

from __future__ import annotations

from typing import Any

from pcpo.config.files import ConfigError
from pcpo.config.scale import Scale, experiment_names

# By which sampler evaluation images are made: the experiment's for every arm, so that the weights
# alone differ, or each arm's own. The base model, against which all are measured, has the native.
NATIVE, OWN = EVALUATION_SAMPLERS = ("native", "own")


def chosen_experiments(given: Any) -> list[str]:
    """Names or numbers of experiments: `all`, or a list. Raises ConfigError for anything else."""
    if given == "all":
        return experiment_names()
    if not isinstance(given, list | tuple) or not given:
        raise ConfigError(
            "config: experiments: give 'all' or a list, as in --config "
            f'"experiments=[04_ddpo_bertscore,5]"; got {given!r}'
        )
    return [str(name) for name in given]


def chosen_seeds(given: Any) -> list[int]:
    """Training seeds, in order. Raises ConfigError unless they are different whole numbers."""
    listed = isinstance(given, list | tuple) and bool(given)
    if not listed or not all(str(seed).isdecimal() for seed in given):  # Snakemake's are text
        raise ConfigError(
            "config: seeds: give a list of whole numbers from 0 on, as in --config "
            f'"seeds=[0,1,2]"; got {given!r}'
        )
    seeds = [int(seed) for seed in given]
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"config: seeds: one is there twice, and each is a run: {seeds}")
    return seeds


def chosen_sampler(given: Any) -> str:
    """One of EVALUATION_SAMPLERS. Raises ConfigError for anything else."""
    if given not in EVALUATION_SAMPLERS:
        raise ConfigError(
            f"config: evaluation_sampler: give {' or '.join(EVALUATION_SAMPLERS)}; got {given!r}"
        )
    return str(given)


def evaluated_by(scale: Scale, sampler: str) -> Scale:
    """The scale with a note that says so where evaluation images are not the native sampler's."""
    if sampler == NATIVE:
        return scale
    told = "evaluation images by each arm's own sampler, the base model's by the native one"
    return scale.model_copy(update={"note": f"{scale.note.rstrip('. ')}; {told}"})
