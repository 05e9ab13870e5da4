"""Peak memory of a measurement by the number of its images; a part of `make bench`.

    python -m pcpo.cli.bench_memory 20000

Images are 32 x 32 noise of 45 prompts, features 2048 random projections and a vector of 49,152
numbers in place of an LPIPS one: memory depends on their sizes, not on what they mean.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
from pathlib import Path

from pcpo.cli.console import run, setup

PROMPTS = 45


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=int)
    count = parser.parse_args().images // PROMPTS

    import numpy as np
    import torch

    from pcpo.config import FeatureSource
    from pcpo.evaluation.feature_cache import ImageSet
    from pcpo.evaluation.images import write_images
    from pcpo.evaluation.quality import measure

    setup()
    rng = np.random.default_rng(0)
    projection = rng.normal(size=(32 * 32 * 3, 2048)).astype(np.float32) / 55

    class Random:
        outputs = ("pooled", "logits", "vectors")
        digest = "bench"

        def __call__(self, images: torch.Tensor) -> dict[str, np.ndarray]:
            pixels = images.flatten(1).numpy().astype(np.float32) / 255 - 0.5
            pooled = pixels @ projection
            vectors = np.tile(pixels, (1, 16))
            return {"pooled": pooled, "logits": pooled[:, :1008], "vectors": vectors}

    def source(output: str, metric: str) -> FeatureSource:
        return FeatureSource(features="random", output=output, metric=metric, measured=output)

    quality = {
        "fid": source("pooled", "frechet"),
        "is_star": source("logits", "inception_score"),
        "lpips_diversity": source("vectors", "diversity"),
    }
    with tempfile.TemporaryDirectory() as folder:
        rows = [(p, f"prompt {p}", image) for p in range(PROMPTS) for image in range(count)]
        noise = (rng.integers(0, 256, (3, 32, 32), dtype=np.uint8) for _ in rows)
        write_images(Path(folder), rows, noise)
        images = ImageSet(Path(folder), {"random": Random()}, quality)  # type: ignore[dict-item]
        measure({"base": images, "pcpo": images}, images, quality, "bench", 0)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    run(main)
