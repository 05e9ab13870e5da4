"""Measure what docs/checks.md states of speed and memory; no test depends on these figures.

    make bench
    python -m pcpo.cli.bench orders --configuration 8      # a part of it

CPU seconds of one process with one thread. The pipelines are untrained ones of the demo's size:
their speed does not depend on what they have learnt. The reward is a constant-time stand-in.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pcpo.cli.console import run, setup

if TYPE_CHECKING:
    from torch import Tensor

    from pcpo.config import Experiment
    from pcpo.policies.base import Policy


def parse_seconds() -> float:
    """Wall seconds to import what a Snakefile imports and to resolve the ten configurations."""
    code = (
        "import time; start = time.perf_counter();"
        "from pcpo.config import load_experiments; import pcpo.paths; load_experiments('demo');"
        "print(time.perf_counter() - start)"
    )
    times = [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout)
        for _ in range(3)
    ]
    return sorted(times)[1]


def untrained(experiment: Experiment, folder: str) -> Policy:
    """A trainable policy of the demo's size and random weights, the same each time."""
    import torch

    from pcpo import policies
    from pcpo.config import ModelSource
    from pcpo.synthetic import flux, stable_diffusion, stable_diffusion_3
    from pcpo.synthetic.vae import PatchLinearVAE

    build: Any = {
        "sd14": stable_diffusion.build,
        "sd15": stable_diffusion.build,
        "sd35m": stable_diffusion_3.build,
        "flux": flux.build,
    }[experiment.model]
    setup()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        images = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8)
        fold = 1 if experiment.model in ("sd14", "sd15") else 2
        build(PatchLinearVAE.fit(images, fold=fold)).save_pretrained(folder)
        return policies.load(experiment, ModelSource(path=folder), train=True)


def reward(images: Tensor, prompts: Any) -> Tensor:
    """A stand-in that takes hardly any time."""
    return images.double().mean(dim=(1, 2, 3))


def epoch_seconds(number: int, epochs: int = 3) -> tuple[float, int]:
    """(CPU seconds of the median training epoch at batch 64, images) of a demo configuration."""
    from pcpo.config import load_arm, load_experiment
    from pcpo.training.loop import train
    from pcpo.training.observer import Observer
    from pcpo.training.run import Run
    from pcpo.training.run_folder import RunFolder

    experiment = load_experiment(number, "demo").model_copy(
        update={"epochs": epochs, "checkpoint_every": epochs, "validation": None}
    )
    marks: list[float] = []

    def report(row: dict[str, Any]) -> None:
        if row["update"] == experiment.gradient_updates:
            marks.append(time.process_time())

    with tempfile.TemporaryDirectory() as folder:
        policy = untrained(experiment, folder + "/model")
        prompts = [f"a red circle {i}" for i in range(16)]
        run_folder = RunFolder(Path(folder) / "run", "bench")
        start = time.process_time()
        measured = Run(experiment, load_arm("pcpo"), 0, policy, reward, prompts)
        train(measured, run_folder, [Observer(update=report)], lambda message: None)
    laps = [b - a for a, b in zip([start, *marks], marks, strict=False)]
    return sorted(laps)[len(laps) // 2], experiment.images_per_iteration


def orders_of_work(numbers: Sequence[int]) -> str:
    """The table of epochs of ours beside the official order of work."""
    from pcpo.compared import COMPARED
    from pcpo.config import load_experiment
    from pcpo.cost.side_by_side import PUBLISHED, SIZES, compare, markdown

    sizes = [(number, size, size, size) for number in numbers for size in SIZES]
    rows = []
    for number, sample, train, own in [*sizes, *(row for row in PUBLISHED if row[0] in numbers)]:
        experiment = load_experiment(number, "demo")
        with tempfile.TemporaryDirectory() as folder:
            load = partial(untrained, folder=folder + "/model")
            rows += [compare(experiment, arm, load, reward, sample, train, own) for arm in COMPARED]
    return markdown(rows)


def arms_side_by_side(number: int) -> str:
    """Time of an epoch of PCPO over one of the baseline, with its interval."""
    import numpy as np

    from pcpo.config import load_experiment
    from pcpo.cost.side_by_side import compare_arms
    from pcpo.stats.intervals import t_interval

    experiment = load_experiment(number, "demo")
    with tempfile.TemporaryDirectory() as folder:
        ratios = compare_arms(experiment, partial(untrained, folder=folder + "/model"), reward)
    found = t_interval(np.log(ratios))
    mean, low, high = np.exp([found.mean, found.low, found.high])
    return f"{mean:.3f} [{low:.3f}, {high:.3f}], {len(ratios)} pairs of blocks"


def image_milliseconds(number: int) -> tuple[float, float]:
    """CPU ms of an evaluation image of a demo configuration, and of its PNG: least of three."""
    import numpy as np

    from pcpo import samplers
    from pcpo.config import load_experiment
    from pcpo.evaluation.generation import generate
    from pcpo.evaluation.images import write_images

    experiment = load_experiment(number, "demo")
    guidance, batch = experiment.sampler.guidance_scale, experiment.evaluation.batch
    rows = [(0, "a red circle", seed) for seed in range(2 * batch)]
    sampled, written = [], []
    with tempfile.TemporaryDirectory() as folder:
        policy = untrained(experiment, folder + "/model")
        sampler = samplers.build(experiment.sampler, policy.scheduler_config)
        for _ in range(3):
            start = time.process_time()
            images = generate(policy, sampler, guidance, [row[1:] for row in rows], batch)
            made = np.stack([image.numpy() for image in images])
            sampled.append(time.process_time() - start)
            write_images(Path(folder) / "images", rows, made)
            written.append(time.process_time() - start - sampled[-1])
    png = min(written)
    return 1e3 * (min(sampled) + png) / len(rows), 1e3 * png / len(rows)


def frechet_seconds(count: int = 1112, dimensions: int = 2048) -> tuple[float, float]:
    """CPU seconds of one per-prompt Frechet distance, ours and through scipy.linalg.sqrtm."""
    import numpy as np
    from scipy.linalg import sqrtm

    from pcpo.metrics.frechet import frechet_distance

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, count, dimensions))
    start = time.process_time()
    frechet_distance(x, y)
    ours = time.process_time() - start
    start = time.process_time()
    sqrtm(np.cov(x, rowvar=False) @ np.cov(y, rowvar=False))
    return ours, time.process_time() - start


def evaluation_megabytes(images: int) -> float:
    """Peak resident memory of a process that measures so many images."""
    command = [sys.executable, "-m", "pcpo.cli.bench_memory", str(images)]
    return float(subprocess.run(command, check=True, capture_output=True).stdout)


def _parse(args: argparse.Namespace) -> Iterator[str]:
    yield f"parse of the configuration: {parse_seconds():.2f} s wall"


def _epochs(args: argparse.Namespace) -> Iterator[str]:
    for number, what in ((2, "UNet, 10 steps, CFG"), (9, "SD3 type, 8 steps"), (6, "FLUX type")):
        seconds, images = epoch_seconds(number)
        about = f"configuration {number} ({what}), {images} images"
        yield f"training epoch, {about}: {seconds:.2f} CPU s"


def _orders(args: argparse.Namespace) -> Iterator[str]:
    from pcpo.cost.side_by_side import ALGORITHMS

    yield (
        "CPU time of an epoch, ours / the official order of work: ratio of the least times "
        "(median ratio of pairs)"
    )
    yield orders_of_work(args.configuration or ALGORITHMS)


def _arms(args: argparse.Namespace) -> Iterator[str]:
    yield "CPU time of an epoch, PCPO / baseline in turns: geometric mean, 95 % interval"
    for number in args.configuration or (1, 6, 8):
        yield f"configuration {number}: {arms_side_by_side(number)}"


def _images(args: argparse.Namespace) -> Iterator[str]:
    for number, what in ((1, "UNet, 10 steps, CFG"), (8, "SD3 type, 8 steps")):
        image, png = image_milliseconds(number)
        about = f"configuration {number} ({what})"
        yield f"evaluation image, {about}: {image:.1f} CPU ms, of which its PNG {png:.2f}"


def _frechet(args: argparse.Namespace) -> Iterator[str]:
    if not args.sqrtm:
        return
    ours, reference = frechet_seconds()
    yield f"Frechet distance, N = 1112, d = 2048: {ours:.2f} CPU s; sqrtm: {reference:.1f} CPU s"
    yield f"45 of them: {45 * ours:.0f} CPU s; sqrtm: {45 * reference / 60:.0f} CPU minutes"


def _memory(args: argparse.Namespace) -> Iterator[str]:
    small, large = evaluation_megabytes(2000), evaluation_megabytes(20000)
    yield (
        f"peak memory of a measurement: {small:.0f} MB at 2,000 images, {large:.0f} MB at 20,000 "
        f"({large / small - 1:+.1%})"
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    yield f"peak resident memory of this process: {peak:.2f} GB"


PARTS = {
    "parse": _parse,
    "epochs": _epochs,
    "orders": _orders,
    "arms": _arms,
    "images": _images,
    "frechet": _frechet,
    "memory": _memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", nargs="*", help=f"{', '.join(PARTS)}; without any, all")
    parser.add_argument("--sqrtm", action="store_true", help="frechet: scipy's square root too")
    parser.add_argument(
        "--configuration",
        type=int,
        nargs="+",
        help="orders and arms: numbers; without any, four and three",
    )
    args = parser.parse_args()
    if unknown := sorted({*args.part} - {*PARTS}):
        raise ValueError(f"there is no part '{unknown[0]}'; there are {', '.join(PARTS)}")
    setup()
    for part in args.part or PARTS:
        for line in PARTS[part](args):
            print(line, flush=True)


if __name__ == "__main__":
    run(main)
