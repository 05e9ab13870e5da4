"""Quality of a policy's images against the base model's: overall and per prompt (Tables 2-4).

Which features fill a table's slot is the scale's business (`quality:` of its file); the metrics
are the same functions everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from pcpo.config import FeatureSource
from pcpo.metrics.diversity import mean_pairwise_squared_distance
from pcpo.metrics.frechet import frechet_distance
from pcpo.metrics.inception_score import inception_score
from pcpo.shards import read_images, read_index

Extract = Callable[[torch.Tensor], dict[str, np.ndarray]]
BATCH = 256


class ImageSet:
    """Features of a folder of images, by extractor and output, with one row per image."""

    def __init__(self, folder: Path, extractors: Mapping[str, Extract]) -> None:
        self.folder = folder
        self.index = read_index(folder)
        parts: dict[tuple[str, str], list[np.ndarray]] = {}
        for start in range(0, len(self.index), BATCH):
            images = torch.from_numpy(read_images(folder, self.index.iloc[start : start + BATCH]))
            for name, extract in extractors.items():
                for output, values in extract(images).items():
                    parts.setdefault((name, output), []).append(values)
        self.features = {key: np.concatenate(values) for key, values in parts.items()}
        for (name, output), values in self.features.items():
            if not np.isfinite(values).all():
                raise ValueError(f"{folder}: features {name}.{output} are NaN or infinite")

    def __len__(self) -> int:
        return len(self.index)


def _value(source: FeatureSource, own: np.ndarray, base: np.ndarray) -> float:
    if source.metric == "frechet":
        return frechet_distance(own, base)
    if source.metric == "inception_score":
        # Ten splits as published, fewer where there are not two images for each.
        return inception_score(own, splits=min(10, len(own) // 2))[0]
    return mean_pairwise_squared_distance(own)


def measure(
    sets: Mapping[str, ImageSet],
    base: ImageSet,
    quality: Mapping[str, FeatureSource],
    experiment: str,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Frames METRICS_OVERALL and METRICS_PER_PROMPT of the arms in `sets` (with "base" among them).

    Overall diversity is the mean of the prompts' diversities: it measures variety within a prompt.
    Raises ValueError if an arm's images are not of the base model's prompts and seeds.
    """
    key = ["prompt_id", "prompt", "seed"]
    overall: list[dict[str, Any]] = []
    per_prompt: list[dict[str, Any]] = []
    for arm, images in sets.items():
        if not images.index[key].equals(base.index[key]):
            raise ValueError(
                f"{images.folder} and {base.folder} hold images of different prompts or seeds"
            )
        for slot, source in quality.items():
            features = (source.features, source.output)
            if features not in images.features:
                raise ValueError(
                    f"quality.{slot}: pcpo/features/{source.features}.py gives no '{source.output}'"
                )
            own, reference = images.features[features], base.features[features]
            row = {
                "experiment": experiment,
                "arm": arm,
                "seed": seed,
                "metric": slot,
                "measured": source.measured,
                "dimensions": own.shape[1],
            }
            values = []
            for (prompt_id, prompt), rows in images.index.groupby(key[:2], sort=True):
                where = rows.index.to_numpy()
                values.append(_value(source, own[where], reference[where]))
                per_prompt.append(
                    row
                    | {"value": values[-1], "images": len(where), "reference_images": len(where)}
                    | {"prompt_id": prompt_id, "prompt": prompt}
                )
            within = source.metric == "diversity"
            total = float(np.mean(values)) if within else _value(source, own, reference)
            overall.append(
                row | {"value": total, "images": len(images), "reference_images": len(base)}
            )
    return pd.DataFrame(overall), pd.DataFrame(per_prompt)
