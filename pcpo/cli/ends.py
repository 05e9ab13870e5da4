"""Measure how far training has moved the images by its end: each arm's last checkpoint.

    python -m pcpo.cli.ends 08 --scale demo --out ends.csv \\
        --arm baseline results/demo/runs/08_flowgrpo_ocr/baseline/seed0 --arm pcpo ...

Images have the evaluation's prompts and noise, and the native sampler. They are measured against
the base model's, and not kept. Tables 2 to 4 compare checkpoints of the same reward instead.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from pcpo.cli.console import Log, experiment_parser, resolved, run, setup, uses
from pcpo.config import load_experiment, load_scale


def main() -> None:
    parser = experiment_parser(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--arm", nargs=2, action="append", metavar=("ARM", "RUN"), required=True)
    parser.add_argument("--out", type=Path, required=True, help="a Parquet or CSV file")
    args = parser.parse_args()
    runs = {arm: Path(folder) for arm, folder in args.arm}
    uses(read=runs.values(), wrote=[args.out])
    experiment, scale = load_experiment(args.experiment, args.scale), load_scale(args.scale)
    resolved(experiment=experiment, scale=scale, seed=args.seed)

    from pcpo.cli.evaluation import (
        checkpoint_folder,
        device_of,
        evaluation_rows,
        last_checkpoint,
        load_policy,
    )
    from pcpo.evaluation.feature_cache import ImageSet
    from pcpo.evaluation.generation import generate
    from pcpo.evaluation.images import write_images
    from pcpo.evaluation.quality import load_extractors, measure
    from pcpo.records import frame_file, frames

    log = Log(args.log)
    setup()
    checkpoints = {
        arm: checkpoint_folder(
            experiment, scale, arm, folder, last_checkpoint(folder, experiment.epochs)
        )
        for arm, folder in runs.items()
    }
    device = device_of(args, scale)
    extractors = load_extractors(scale, device)
    policy, native = load_policy(experiment, scale, device)
    rows = evaluation_rows(experiment, scale, experiment.evaluation.images_per_prompt)
    items = [(prompt, image_seed) for _, prompt, image_seed in rows]
    guidance, batch = experiment.sampler.guidance_scale, experiment.evaluation.batch
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=args.out.parent) as place:

        def made(arm: str) -> ImageSet:
            images = generate(policy, native, guidance, items, batch)
            write_images(Path(place, arm), rows, (image.numpy() for image in images))
            return ImageSet(Path(place, arm), extractors, scale.quality)

        sets = {"base": made("base")}
        for arm, checkpoint in checkpoints.items():
            policy.load_weights(checkpoint)
            sets[arm] = made(arm)
            log(f"{arm}: {len(rows)} images of {checkpoint}")
        overall, _ = measure(sets, sets["base"], scale.quality, experiment.name, args.seed)
    frame_file.write(overall, frames.METRICS_OVERALL, args.out, scale.name)
    table = overall.pivot(index="arm", columns="measured", values="value")
    log(table.loc[list(sets), [source.measured for source in scale.quality.values()]].to_string())


if __name__ == "__main__":
    run(main)
