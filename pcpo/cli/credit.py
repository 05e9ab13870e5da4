"""Write the credit weights of an experiment's arms over the timesteps (Figure 12, the ledger)."""

from __future__ import annotations

import argparse
from pathlib import Path

from pcpo.cli.console import run, setup, uses
from pcpo.config import load_arm, load_experiment, load_scale


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", nargs="+")
    parser.add_argument("--scale", default="demo", help="of config/scale/; demo without it")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    uses(wrote=[args.out])

    import json

    import pandas as pd

    from pcpo import samplers
    from pcpo.analysis.readings import schedule_rows
    from pcpo.credit import arm_sampler
    from pcpo.records import frame_file, frames

    setup()
    scale = load_scale(args.scale)
    parts = []
    for name in args.experiment:
        experiment = load_experiment(name, args.scale)
        folder = Path(scale.models[experiment.model].path)
        scheduler = json.loads(
            (folder / "scheduler/scheduler_config.json").read_text(encoding="utf-8")
        )
        sampler = samplers.build(experiment.sampler, scheduler)
        for arm in map(load_arm, experiment.arms):
            _, schedule = arm_sampler(experiment, arm, scheduler)
            rows = schedule_rows(sampler, schedule)
            parts.append(rows.assign(experiment=experiment.name, arm=arm.name))
    frame_file.write(pd.concat(parts, ignore_index=True), frames.CREDIT, args.out, scale.name)


if __name__ == "__main__":
    run(main, printing=True)
