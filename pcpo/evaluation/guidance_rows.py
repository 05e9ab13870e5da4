"""What is measured of the images of one point of strengths: rewards, and the distance to the base.

These are rows of `frames.REWARD_GUIDANCE` without the keys of run and strengths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from pcpo import metrics
from pcpo.config import FeatureSource
from pcpo.evaluation.feature_cache import ImageSet
from pcpo.evaluation.images import read_images
from pcpo.rewards import Reward

OVER_ALL = -1  # the prompt_id of a value over all images


def guidance_rows(
    own: ImageSet,
    base: ImageSet,
    rewards: Mapping[str, Reward],
    quality: Mapping[str, FeatureSource],
    batch: int,
) -> Iterator[dict[str, Any]]:
    """The mean of each reward for each prompt, and each metric of `quality` over all images.

    batch: images that a reward scores at once. Raises ValueError for a metric of `quality` that is
    no distance between two sets of features.
    """
    scores: dict[str, list[float]] = {name: [] for name in rewards}
    for start in range(0, len(own), batch):
        rows = own.index.iloc[start : start + batch]
        images = torch.from_numpy(read_images(own.folder, rows))
        for name, reward in rewards.items():
            scores[name] += reward(images, rows["prompt"].tolist()).double().tolist()
    for name, values in scores.items():
        scored = own.index.assign(value=values)
        for prompt_id, of_prompt in scored.groupby("prompt_id"):
            mean, count = float(of_prompt["value"].mean()), len(of_prompt)
            yield _row(name, f"reward {name}", prompt_id, mean, count)
    for column, source in quality.items():
        distance = metrics.load(source.metric).of_rows
        if distance is None:
            raise ValueError(f"quality.{column}: {source.metric} is no distance to other images")
        key = source.features, source.output
        value = distance(own.rows[key], base.rows[key])
        yield _row(column, source.measured, OVER_ALL, value, len(own))


def _row(measure: str, measured: str, prompt_id: Any, value: float, images: int) -> dict[str, Any]:
    return {
        "measure": measure,
        "measured": measured,
        "prompt_id": int(prompt_id),
        "value": value,
        "images": images,
    }
