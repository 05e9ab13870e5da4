"""Quality of a policy's images against the base model's: overall and per prompt (Tables 2-4).

The scale's file names the features and the metric of each metric column (`quality:`); metrics
are the functions of `pcpo.metrics`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pcpo import features, metrics
from pcpo.config import FeatureSource, Scale
from pcpo.evaluation.feature_cache import ImageSet
from pcpo.features import FeatureExtractor


def load_extractors(scale: Scale, device: str) -> dict[str, FeatureExtractor]:
    """The extractors that the scale's `quality` needs, by name, each with only these outputs."""
    wanted: dict[str, set[str]] = {}
    for column, source in scale.quality.items():
        if source.features not in scale.features:
            raise ValueError(
                f"config/scale/{scale.name}.yaml: quality.{column}: features.{source.features} is "
                "missing"
            )
        wanted.setdefault(source.features, set()).add(source.output)
    return {
        name: features.load(name, scale.features[name], device, sorted(outputs))
        for name, outputs in wanted.items()
    }


def measure(
    sets: Mapping[str, ImageSet],
    base: ImageSet,
    quality: Mapping[str, FeatureSource],
    experiment: str,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Frames METRICS_OVERALL and METRICS_PER_PROMPT of the arms in `sets` (with "base" among them).

    `sets` and `base` contain the features that `quality` needs. A running metric (diversity)
    measures variety within a prompt; its overall value is the mean over prompts.
    Raises ValueError if an arm's images have other prompts or image seeds than the base model's.
    """
    overall: list[dict[str, Any]] = []
    per_prompt: list[dict[str, Any]] = []
    for arm, images in sets.items():
        _check_same_images(images, base)
        for column, source in quality.items():
            key = source.features, source.output
            row = {
                "experiment": experiment,
                "arm": arm,
                "seed": seed,
                "metric": column,
                "measured": source.measured,
                "dimensions": images.dimensions[key],
            }
            values = []
            of_rows = metrics.load(source.metric).of_rows
            for _, rows in images.index.groupby("prompt_id"):
                prompt_id, prompt = int(rows["prompt_id"].iloc[0]), rows["prompt"].iloc[0]
                if of_rows is None:
                    values.append(images.values[*key, source.metric][prompt_id])
                else:
                    where = rows.index.to_numpy()
                    values.append(of_rows(images.rows[key][where], base.rows[key][where]))
                per_prompt.append(
                    row
                    | {"value": values[-1], "images": len(rows), "reference_images": len(rows)}
                    | {"prompt_id": prompt_id, "prompt": prompt}
                )
            if of_rows is None:
                total = float(np.mean(values))
            else:
                total = of_rows(images.rows[key], base.rows[key])
            overall.append(
                row | {"value": total, "images": len(images), "reference_images": len(base)}
            )
    return pd.DataFrame(overall), pd.DataFrame(per_prompt)


def _check_same_images(images: ImageSet, base: ImageSet) -> None:
    key = ["prompt_id", "prompt", "image_seed"]
    own, reference = images.index[key], base.index[key]
    if own.equals(reference):
        return
    shared = min(len(own), len(reference))
    differ = (own[:shared].to_numpy() != reference[:shared].to_numpy()).any(axis=1)
    line = int(np.argmax(differ)) if differ.any() else shared
    raise ValueError(
        f"{images.folder} and {base.folder} hold images of different prompts or image seeds: "
        f"{len(own)} and {len(reference)} images, the first difference in line {line + 2} of "
        "index.csv"
    )
