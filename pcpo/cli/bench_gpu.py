"""Measure training speed on a GPU with random weights of the real architectures: no download.

    make bench-gpu

Writes <out>/<device>.csv and .md. The plan takes its shares of peak from that table. A short one:

    python -m pcpo.cli.bench_gpu 2 9 --steps 10 --repeats 1
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pcpo.cli.console import run, setup
from pcpo.config import load_experiment


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment", nargs="*", help="numbers or names; without any, one a model")
    parser.add_argument("--scale", default="paper", help="of config/scale/; paper without it")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="toy sizes, to try the command")
    parser.add_argument("--steps", type=int, help="of the sampler, for a shorter run")
    parser.add_argument(
        "--repeats", type=int, default=3, help="iterations measured after the first"
    )
    parser.add_argument("--out", type=Path, help="folder; results/bench, or none with --tiny")
    args = parser.parse_args()

    import torch

    from pcpo.cost import bench as gpu_bench
    from pcpo.cost import bench_table as gpu_bench_table
    from pcpo.cost.iteration_time import matrix_tflops

    setup()
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(
            "no CUDA device is visible: this command measures GPUs (--device cpu --tiny tries the "
            f"same code on toy sizes); the driver must be new enough for CUDA {torch.version.cuda}"
        )
    if args.device == "cpu" and not args.tiny:
        raise ValueError("--device cpu: the real architectures need a GPU; add --tiny")
    if args.repeats < 1:
        raise ValueError(f"--repeats: {args.repeats} is below 1")
    if args.steps is not None and args.steps < 2:  # DanceGRPO and Flow-GRPO do not train the last
        raise ValueError(f"--steps: {args.steps} is below 2")
    peak = matrix_tflops(args.device, size=256 if args.tiny else 8192)
    out = args.out or (None if args.tiny else Path("results/bench"))
    rows: list[gpu_bench.Measurement] = []
    for name in args.experiment or gpu_bench.EXPERIMENTS:
        experiment = load_experiment(name, args.scale)
        if args.steps is not None:
            experiment = gpu_bench.with_steps(experiment, args.steps)
        rows += gpu_bench.bench(experiment, args.device, peak, args.tiny, args.repeats)
        print(f"{experiment.name}: {rows[-2].images_per_s:.3g} images/s, ", end="")
        print(f"in the official order of work {rows[-1].images_per_s:.3g}", flush=True)
        if out is not None:  # after each, so that a crash loses one
            gpu_bench_table.write(rows, out)
    print(gpu_bench_table.markdown(rows))


if __name__ == "__main__":
    run(main)
