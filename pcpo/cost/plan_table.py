"""The plan as a person reads it: one line per experiment and arm, totals, notes; and as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from pcpo.cost.memory import CONTEXT, FRAGMENTATION
from pcpo.cost.plan import CARDS, PNG_BYTES_PER_PIXEL, Plan, Row, totals
from pcpo.records.replace import new_file

_NOTES = (
    "PFLOP are a counted floor: forwards of the denoiser in sampling (two with guidance), the "
    "VAE's decoder and the reward; in training 2 forwards' worth with LoRA, 3 for all weights, 1 "
    "more for the KL's reference. Text encoders, quality features and the captioner's word-by-word "
    "decoding are not in it; loading, compiling and checkpoints take time besides.",
    "recompute h: what activation checkpointing computes again, on top of GPU-hours; a measured "
    "share may contain it.",
    "GPU GB: of one process, 10^9 bytes. Weights, gradients, Adam's moments and averages are "
    "summed; activations are counted on meta tensors with the dtypes and attention of the scale's "
    "device, without compilation. Text encoders are counted beside the denoiser while prompts are "
    "encoded, rewards always (all of an alignment table's at once). ASSUMED: "
    f"{CONTEXT['cuda'] / 1e9:g} GB for CUDA and its libraries, {FRAGMENTATION:.0%} of what comes "
    "and goes lost to fragmentation. At a scale whose device is the CPU it is the memory of the "
    f"process, with {CONTEXT['cpu'] / 1e9:g} GB for the libraries.",
    "fits 24 ... 141: the largest batch.micro_batch that fits such a GPU with the execution keys "
    "as they are; 0: none (set execution.activation_checkpointing, or sharding: fsdp over several "
    "gpus; lower execution.rollout_batch if it is set). Rows without training: its batch, "
    "or 0.",
    "gradients: an iteration at each checkpoint, in one process; host GB has the gradient of every "
    "step.",
    "preference study: what `snakemake study_pairs` samples, from the published checkpoints; "
    "`snakemake all` does not make it. It is in the total.",
    "host GB: trajectories of an iteration, for one process; to load the weights takes as much as "
    "they have on disk, once per process.",
    f"disk GB: checkpoints and the state to resume from; images as PNG at {PNG_BYTES_PER_PIXEL:g} "
    "bytes a pixel (ASSUMED) with their features. Selection keeps no images; their number is the "
    "most that it may need.",
    "images: of training, with those of validation, which are not trained on; of evaluation, with "
    "the base model's at the first experiment that needs them; of reward guidance (Figures 13 and "
    "14), under all strengths; there a step takes one prediction of each model that is mixed.",
)


def notes(plan: Plan) -> list[str]:
    """The basis of the numbers; assumptions are marked."""
    found = [f"Speed: {plan.speed.source}.", *_NOTES]
    if plan.approximate:
        found.append(
            f"Prompt sets that are not here yet and whose size is not pinned (ASSUMED: "
            f"{', '.join(f'{name} {count:,}' for name, count in plan.approximate.items())})."
        )
    for reward, parts in plan.uncounted.items():
        how = (
            f"counted as {' and '.join(parts)}, which its module imports"
            if parts
            else ("NOT counted: 0 GB and 0 TFLOP, until pcpo/cost/reward_cost.py has its size")
        )
        found.append(f"Reward {reward} has no size of its own here and is {how}.")
    if plan.compiled:
        names = ", ".join(plan.compiled)
        found.append(f"Compiled, which is not counted and as a rule saves memory: {names}.")
    return found


_HEAD = (
    "experiment", "what", "runs", "images", "PFLOP", "GPU-hours", "recompute h", "gpus", "micro",
    "GPU GB", "host GB", "disk GB", *(f"fits {card}" for card in CARDS),
)  # fmt: skip


def markdown(plan: Plan) -> str:
    """The plan as a table with its notes."""
    lines = [
        f"# Plan of scale {plan.scale}",
        "",
        "| " + " | ".join(_HEAD) + " |",
        "| :-- | :-- |" + " --: |" * (len(_HEAD) - 2),
    ]
    lines += ["| " + " | ".join(_cells(row)) + " |" for row in plan.rows]
    summed = totals(plan)
    for name, gigabytes in plan.shared_gb.items():
        lines.append(_line(name, disk=f"{gigabytes:.1f}"))
    lines.append(
        _line(
            "**total**",
            images=f"{summed['images']:,.0f}",
            hours=f"{summed['gpu_hours']:,.1f}",
            again=f"{summed['recompute_hours']:,.1f}",
            disk=f"{summed['disk_gb']:,.1f}",
        )
    )
    numbered = [f"{number}. {note}" for number, note in enumerate(notes(plan), start=1)]
    return "\n".join([*lines, "", *numbered, ""])


def _cells(row: Row) -> Iterator[str]:
    yield from (row.experiment, row.what, str(row.runs), f"{row.images:,}")
    yield f"{row.sampling_pflop + row.training_pflop:,.0f}"
    yield from (f"{row.gpu_hours:,.1f}", f"{row.recompute_hours:,.1f}")
    yield from (str(row.gpus), str(row.micro_batch))
    yield from (f"{row.gpu_gb:.1f}", f"{row.host_gb:.1f}", f"{row.disk_gb:,.1f}")
    yield from (str(getattr(row, f"micro_{card}")) for card in CARDS)


def _line(name: str, images: str = "", hours: str = "", again: str = "", disk: str = "") -> str:
    cells = [name, "", "", images, "", hours, again, "", "", "", "", disk, *[""] * len(CARDS)]
    return "| " + " | ".join(cells) + " |"


def write_csv(plan: Plan, path: Path) -> None:
    """One line per row, numbers as they are."""
    with new_file(path) as part, part.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow([field.name for field in fields(Row)])
        writer.writerows([getattr(row, f.name) for f in fields(Row)] for row in plan.rows)
