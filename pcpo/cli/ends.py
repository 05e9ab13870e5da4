"""Measure how far trainings have moved the images by their end: each run's last checkpoint.

    python -m pcpo.cli.ends 08 --scale demo --out ends.csv \\
        --run results/demo/runs/08_flowgrpo_ocr/baseline/seed0 --run ...

Images have the evaluation's prompts and noise, and the native sampler. They are measured against
the base model's, and not kept. Tables 2 to 4 compare checkpoints of the same reward instead.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pcpo.cli.console import Log, experiment_parser, resolved, run, setup, uses
from pcpo.config import load_experiment, load_scale


def main() -> None:
    parser = experiment_parser(__doc__, seed=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--run", type=Path, action="append", required=True, help="folder of a run")
    parser.add_argument("--out", type=Path, required=True, help="a Parquet or CSV file")
    args = parser.parse_args()
    uses(read=args.run, wrote=[args.out])
    experiment, scale = load_experiment(args.experiment, args.scale), load_scale(args.scale)
    resolved(experiment=experiment, scale=scale)

    import pandas as pd

    from pcpo.cli.evaluation import (
        checkpoint_folder,
        device_of,
        last_checkpoint,
        load_policy,
    )
    from pcpo.cli.images_to_measure import images_to_measure
    from pcpo.evaluation.quality import measure
    from pcpo.records import frame_file, frames

    setup()
    log = Log(args.log)
    runs = {}  # (arm, seed) -> (epoch, folder of the weights); all are checked before any image
    for folder in args.run:
        file = folder / "updates.parquet"
        about = frame_file.read(file, frames.UPDATES, scale.name, [experiment.name]).iloc[0]
        arm, seed = str(about["arm"]), int(about["seed"])
        if (arm, seed) in runs:
            raise ValueError(f"--run {folder}: arm '{arm}' of seed {seed} is there twice")
        epoch = last_checkpoint(folder, experiment.epochs)
        runs[arm, seed] = epoch, checkpoint_folder(experiment, scale, arm, folder, epoch)
    device = device_of(args, scale)
    policy, native = load_policy(experiment, scale, device)
    count = experiment.evaluation.images_per_prompt
    with images_to_measure(experiment, scale, policy, count, args.out) as made:
        base, measured = made("base", native), []
        for (arm, seed), (epoch, weights) in runs.items():
            policy.load_weights(weights)
            sets = {"base": base, arm: made(f"{arm}_{seed}", native)}
            overall, _ = measure(sets, base, scale.quality, experiment.name, seed)
            epochs = overall["arm"].map({"base": 0, arm: epoch})
            measured.append(overall.assign(epoch=epochs))
            log(f"{arm}, seed {seed}: images of epoch {epoch}")
    ends = pd.concat(measured).drop_duplicates(["arm", "seed", "metric"])
    frame_file.write(ends, frames.ENDS, args.out, scale.name)
    table = ends.pivot(index=["arm", "seed", "epoch"], columns="measured", values="value")
    log(table[[source.measured for source in scale.quality.values()]].to_string())


if __name__ == "__main__":
    run(main)
