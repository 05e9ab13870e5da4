"""The benchmark of one GPU as a person reads it, and as the plan reads it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from pcpo.cost.bench import Measurement
from pcpo.records.replace import new_file, write_text


def markdown(rows: Sequence[Measurement]) -> str:
    """The measurements of one device, both orders side by side."""
    head = (
        "experiment", "order", "images", "micro-batch", "steps, trained", "iteration s",
        "sampling s", "reward s", "update s", "images/s", "sampling images/s",
        "training images/s", "peak GB", "share: sampling", "training", "iteration", "ratio",
    )  # fmt: skip
    first = rows[0]
    lines = [
        f"# {first.device}" + (": TOY SIZES, no number here means anything" if first.toy else ""),
        "",
        f"torch {first.torch}, CUDA {first.cuda or 'none'}. Random weights. A large bf16 matrix "
        f"product runs at {first.matrix_tflops:.4g} TFLOP/s; shares are of that, recomputation not "
        f"counted. Median of {first.repeats} iterations after the first.",
        "",
        "| " + " | ".join(head) + " |",
        "| :-- | :-- |" + " --: |" * (len(head) - 2),
    ]
    official = {row.experiment: row.images_per_s for row in rows if row.order == "official"}
    for row in rows:
        ratio = row.images_per_s / official[row.experiment] if row.order == "ours" else 1.0
        cells = [
            row.experiment, row.order, str(row.images), str(row.micro_batch),
            f"{row.steps}, {row.trained_steps}", f"{row.iteration_s:.3g}", f"{row.sampling_s:.3g}",
            f"{row.reward_s:.3g}", f"{row.update_s:.3g}", f"{row.images_per_s:.3g}",
            f"{row.sampling_images_per_s:.3g}", f"{row.training_images_per_s:.3g}",
            f"{row.peak_gb:.1f}" if row.peak_gb else "", f"{row.sampling_share:.1%}",
            f"{row.training_share:.1%}", f"{row.iteration_share:.1%}", f"{ratio:.2f}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *_ORDERS, ""])


_ORDERS = (
    "ours: the arm `pcpo`, compiled, the largest micro-batch that the plan suggests.",
    "official: the order of work of the public loops, written out in pcpo/cost/official_order.py: "
    "eager, their batch sizes (DDPO samples 8 and trains 4 images at a time), the sampler's "
    "log-probabilities, the host waiting at each forward, FLUX with recomputed activations.",
)


def write(rows: Sequence[Measurement], folder: Path) -> Path:
    """Write `<device>.csv` and `.md`; returns the first."""
    path = (
        folder / f"{'toy_' * rows[0].toy}{rows[0].device.replace(' ', '_').replace('/', '_')}.csv"
    )
    with new_file(path) as part, part.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, [f.name for f in fields(Measurement)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    write_text(path.with_suffix(".md"), markdown(rows))
    return path
