"""Settings of config/config.yaml and `--config` other than the scale: experiments, seeds, ..."""

from __future__ import annotations

import shlex
from typing import Any

from pcpo.config.at_scale import experiments_at
from pcpo.config.files import ConfigError, known_name
from pcpo.config.scale import Scale
from pcpo.names import LARGEST_SEED, is_seed, shown

# The sampler of evaluation images: the experiment's for every arm, so that only the weights differ,
# or each arm's own. The base model, the reference for all arms, has the native one.
NATIVE, OWN = EVALUATION_SAMPLERS = ("native", "own")


def chosen_experiments(given: Any, scale: str) -> list[str]:
    """Names or numbers of experiments: `all` of the scale, or a list.

    Raises ConfigError for anything else.
    """
    if given == "all":
        return experiments_at(scale)
    if not isinstance(given, list | tuple) or not given:
        raise ConfigError(
            "config: experiments: give 'all' or a list, as in --config "
            f'"experiments=[04_ddpo_bertscore,5]"; got {shown(given)}'
        )
    return [known_name(str(name), "config: experiments") for name in given]


def chosen_seeds(given: Any) -> list[int]:
    """Training seeds, in order. Raises ConfigError unless they are different whole numbers."""
    # Snakemake gives text.
    texts = [str(seed) for seed in given] if isinstance(given, list | tuple) else []
    digits = len(str(LARGEST_SEED))
    seeds = [int(text) for text in texts if text.isdecimal() and len(text) <= digits]
    if not seeds or len(seeds) < len(texts) or not all(map(is_seed, seeds)):
        raise ConfigError(
            f"config: seeds: give a list of whole numbers from 0 to {LARGEST_SEED}, as in --config "
            f'"seeds=[0,1,2]"; got {shown(given)}'
        )
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"config: seeds: one is there twice, and each is a run: {seeds}")
    return seeds


def chosen_sampler(given: Any) -> str:
    """One of EVALUATION_SAMPLERS. Raises ConfigError for anything else."""
    if given not in EVALUATION_SAMPLERS:
        raise ConfigError(
            f"config: evaluation_sampler: give {' or '.join(EVALUATION_SAMPLERS)}; got "
            f"{shown(given)}"
        )
    return str(given)


def chosen_container(given: Any) -> str:
    """An image for Snakemake's `container:`, which puts it into a command unchanged.

    Raises ConfigError if it is not a path or an address.
    """
    if not isinstance(given, str) or shlex.quote(given) != given or given.startswith("-"):
        raise ConfigError(
            "config: container: give the path or address of an image, without characters that mean "
            f"something to a shell; got {shown(given)}"
        )
    return given


def evaluated_by(scale: Scale, sampler: str) -> Scale:
    """The scale; its note says if evaluation images are not the native sampler's."""
    if sampler == NATIVE:
        return scale
    sentence = "evaluation images by each arm's own sampler, the base model's by the native one"
    return scale.model_copy(update={"note": f"{scale.note.rstrip('. ')}; {sentence}"})
