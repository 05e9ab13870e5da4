"""How many prompts the runs of a scale meet, and the disk that their embeddings take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pcpo.config import Experiment, Scale
from pcpo.config.reward_guidance import guided
from pcpo.prompts.draws import evaluation_prompts, iteration_prompts
from pcpo.prompts.file import read_prompts
from pcpo.prompts.sets import SETS

# Sets whose number of prompts is not pinned, and that are not here yet [approximate].
APPROXIMATE_PROMPTS = {"ocr": 20_000, "hpd": 100_000, "hpd_flux": 50_000}


def known_prompts(name: str, scale: Scale) -> int | None:
    """Prompts of a set: of its file where there is one, else as published."""
    path = Path(scale.prompts[name])
    if path.exists():
        return len(read_prompts(path))
    return SETS[path.stem].count if path.stem in SETS else None


def prompt_count(name: str, scale: Scale) -> int:
    """Prompts of a set, known or approximate."""
    stem = Path(scale.prompts[name]).stem
    return known_prompts(name, scale) or APPROXIMATE_PROMPTS.get(stem, 10_000)


def sampled_prompts(name: str, most: int | None, scale: Scale) -> list[int]:
    """Numbers of the prompts of a set of which images are sampled: at most so many, None: all."""
    count = prompt_count(name, scale)
    return evaluation_prompts([""] * count, most or count)


def distinct_prompts(
    scale: Scale, experiments: Sequence[Experiment], seeds: Sequence[int]
) -> dict[str, set[tuple[str, int]]]:
    """The prompts, as (set, number), that each model's text encoders meet in all runs."""
    met: dict[str, set[tuple[str, int]]] = {}
    mixed = guided(experiments)
    for e in experiments:
        own = met.setdefault(e.model, set())
        count = prompt_count(e.prompts, scale)
        for seed in e.training_seeds(seeds):
            for epoch in range(1, e.epochs + 1):
                ids = iteration_prompts(e.batch, count, seed, epoch)
                own.update((e.prompts, i) for i in ids)
        sampled: list[tuple[str, int | None]] = [(e.prompts, e.evaluation.prompts)]
        sampled += [(name, e.evaluation.alignment_prompts) for name in e.alignment]
        if e.validation is not None:
            sampled.append((e.validation.prompts, e.validation.count))
        if e.reward_guidance is not None and e.name in mixed:
            sampled.append((e.reward_guidance.prompts, e.reward_guidance.count))
        own.update((name, i) for name, most in sampled for i in sampled_prompts(name, most, scale))
    return met


def embeddings_gigabytes(
    scale: Scale, experiments: Sequence[Experiment], seeds: Sequence[int]
) -> float:
    """Disk of the embeddings of all these prompts, in 10^9 bytes."""
    from pcpo.cost import architectures

    met = distinct_prompts(scale, experiments, seeds)
    sizes = {model: architectures.text(model).bytes_per_prompt for model in met}
    return sum(len(prompts) * sizes[model] for model, prompts in met.items()) / 1e9
