"""What `ends` and `samplers_compared` share: images that are measured, and not kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from pcpo.cli.evaluation import evaluation_rows
from pcpo.config import Experiment, Scale
from pcpo.evaluation.feature_cache import ImageSet
from pcpo.evaluation.generation import generate
from pcpo.evaluation.images import write_images
from pcpo.evaluation.quality import load_extractors
from pcpo.policies.base import Policy
from pcpo.samplers import Sampler


class MakeImages(Protocol):
    """Images of the evaluation's prompts by a sampler.

    name: of the folder that they are written to. stream: as in `generate`.
    """

    def __call__(self, name: str, sampler: Sampler, stream: str = "evaluation") -> ImageSet: ...


@contextmanager
def images_to_measure(
    experiment: Experiment, scale: Scale, policy: Policy, images_per_prompt: int, beside: Path
) -> Iterator[MakeImages]:
    """A function that makes images to be measured with the scale's features.

    They lie in a folder next to `beside` until the context ends. It is made before any image, so
    that a place that cannot be written is found early.
    """
    rows = evaluation_rows(experiment, scale, images_per_prompt)
    items = [(prompt, image_seed) for _, prompt, image_seed in rows]
    extractors = load_extractors(scale, str(policy.device))
    guidance, batch = experiment.sampler.guidance_scale, experiment.evaluation.batch
    beside.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=beside.parent) as place:

        def made(name: str, sampler: Sampler, stream: str = "evaluation") -> ImageSet:
            images = generate(policy, sampler, guidance, items, batch, stream=stream)
            write_images(Path(place, name), rows, (image.numpy() for image in images))
            return ImageSet(Path(place, name), extractors, scale.quality)

        yield made
