"""One epoch of configurations 1 and 8 on a GPU at true size: `make test-gpu-epoch`.

Weights are random and of the published sizes, loaded from folders in the published layout; batch
sizes, sampler steps and precision are the published ones (config/scale/gpu_epoch.yaml). Each
training is a process of its own. Checked: that it ends, that gradients are finite and not 0, and
that PCPO's on-policy log-ratio is exactly 0. Printed: seconds and memory beside what the plan says.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
from pathlib import Path

import pcpo.cli.console  # noqa: F401  (threads, before torch is imported)

# isort: split
from pcpo.assets.needs import needed
from pcpo.config import Experiment, load_arm
from pcpo.cost.iteration_time import matrix_tflops
from pcpo.cost.memory import CONTEXT, peak_gigabytes
from pcpo.cost.plan import training_tflop
from pcpo.records.lock import Busy, alone
from tests.true_size.place import Place
from tests.true_size.stages import Facts, Failure
from tests.true_size.updates import ARM, checked

SCALE = "gpu_epoch"


def assets_of(place: Place, experiment: Experiment) -> list[str]:
    """Folders of weights that a training of the experiment loads."""
    folders = needed(place.scale, [experiment])
    return [asset for asset in folders if asset.startswith(("models/", "rewards/"))]


def train(place: Place, experiment: Experiment, device: str) -> Facts:
    """One training of the arm `pcpo` in a process of its own. Raises Failure."""
    out = place.cache / "logs" / f"gpu_{experiment.number:02}.json"
    log = out.with_suffix(".log")
    folder = place.run_folder(experiment, ARM)
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier start: it would only be loaded
    place.python(
        f"train_{experiment.number}", "-m", "tests.true_size.gpu_training", str(out),
        experiment.name, ARM, "--seed", "0", "--scale", SCALE, "--device", device,
        "--out", str(folder), "--log", str(log),
    )  # fmt: skip
    return json.loads(out.read_text(encoding="utf-8")) | checked(
        folder / "updates.parquet", ARM, experiment.epochs
    )


def line(experiment: Experiment, facts: Facts, rate: float) -> str:
    """The row of the table. rate: the device's `matrix_tflops`."""
    images = experiment.images_per_iteration
    last = facts["seconds"][-1]  # an update without a rollout before it, compiled already
    tflop = training_tflop(experiment, load_arm(ARM)) * images / experiment.gradient_updates
    planned = peak_gigabytes(experiment) - CONTEXT["cuda"] / 1e9
    sizes = [f"{facts.get(key, math.nan) / 1e9:.1f}" for key in ("allocated", "reserved")]
    return (
        f"| {experiment.name} | {images} | {experiment.batch.micro_batch} | "
        f"{facts['whole']:.0f} | {sum(facts['seconds']):.0f} | {last:.1f} | "
        f"{tflop / last / rate:.1%} | {planned:.1f} | {' | '.join(sizes)} |"
    )


HEAD = (
    "| configuration | images | micro-batch | whole process s | epoch s | last update s | "
    "share of peak | planned GB | tensors GB | held GB |\n"
    "| :-- |" + " --: |" * 9
)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.true_size.gpu_epoch",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cache", type=Path, required=True, help="folder of weights and records")
    parser.add_argument("--only", type=int, nargs="+", default=[1, 8], metavar="NUMBER")
    parser.add_argument("--weights", action="store_true", help="writes the weights and ends")
    parser.add_argument("--device", default="cuda")
    parser.add_argument(
        "--size", choices=("true", "small"), default="true", help="small: rehearsal"
    )
    args = parser.parse_args()
    place = Place(args.cache, args.size, 4, math.inf, SCALE)
    chosen = [place.experiments[number] for number in args.only]
    try:
        place.cache.mkdir(parents=True, exist_ok=True)
        with alone(place.cache / "lock"):
            place.prepare()
            for experiment in chosen:
                place.write_weights(assets_of(place, experiment))
            if args.weights:
                return
            rate = matrix_tflops(args.device, 8192 if args.size == "true" else 256)
            rows = []
            for experiment in chosen:
                facts = train(place, experiment, args.device)
                rows.append(line(experiment, facts, rate))
                print(json.dumps(facts), flush=True)
            print("\n".join([f"{rate:.0f} TFLOP/s in a large bf16 product", "", HEAD, *rows]))
    except (Busy, Failure, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
