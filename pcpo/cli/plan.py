"""Print what the runs of a scale cost: GPU-hours, memory, disk, images; before any is spent."""

from __future__ import annotations

import argparse
from pathlib import Path

from pcpo.cli.console import run, setup
from pcpo.config import experiments_at, load_experiment, load_scale
from pcpo.records.replace import write_text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", nargs="*", help="numbers or names; all without any")
    parser.add_argument("--scale", default="paper", help="of config/scale/; paper without it")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0], help="of the training runs; 0 without it"
    )
    parser.add_argument("--gpu", default="H100", help="on which hours are counted")
    parser.add_argument("--bench", type=Path, help="table of `make bench-gpu`, instead of --gpu")
    parser.add_argument("--out", type=Path, help="writes <out>.md and <out>.csv")
    args = parser.parse_args()

    from pcpo.cost import plan, plan_table
    from pcpo.cost.speed import Speed

    setup()
    scale = load_scale(args.scale)
    names = args.experiment or experiments_at(args.scale)
    experiments = [load_experiment(name, args.scale) for name in names]
    speed = Speed.measured_in(args.bench) if args.bench else Speed.assumed(args.gpu)
    made = plan.make(scale, experiments, args.seeds, speed)
    text = plan_table.markdown(made)
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        write_text(args.out.with_suffix(".md"), text)
        plan_table.write_csv(made, args.out.with_suffix(".csv"))
    print(text)


if __name__ == "__main__":
    run(main)
