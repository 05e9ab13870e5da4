"""Generate the evaluation images of a selected checkpoint, or of the base model."""

from __future__ import annotations

from pathlib import Path

from pcpo.cli.console import Log, experiment_parser, resolved, run, sampler_option, setup, uses
from pcpo.config import load_experiment, load_scale


def main() -> None:
    parser = experiment_parser(__doc__)
    parser.add_argument("--arm", default="base")
    parser.add_argument("--run", type=Path, help="folder of the arm's run")
    parser.add_argument("--selection", type=Path, help="which of its checkpoints")
    parser.add_argument("--out", type=Path, required=True)
    sampler_option(parser)
    args = parser.parse_args()
    uses(read=[args.run, args.selection], wrote=[args.out])

    from pcpo import policies
    from pcpo.cli.evaluation import (
        device_of,
        evaluation_rows,
        load_checkpoint,
        load_policy,
        sampler_of,
        sigmas,
    )
    from pcpo.evaluation.generation import generate
    from pcpo.evaluation.images import missing_rows, write_images
    from pcpo.records import frame_file
    from pcpo.records.digest import SUMS, of_json
    from pcpo.records.lock import alone
    from pcpo.records.sources import digests
    from pcpo.training.run_folder import read_manifest
    from pcpo.training.trained_code import image_sources

    setup()
    log = Log(args.log)
    experiment, scale = load_experiment(args.experiment, args.scale), load_scale(args.scale)
    resolved(experiment=experiment, scale=scale, seed=args.seed)
    device = device_of(args, scale)
    policy, native = load_policy(experiment, scale, device)
    sampler = sampler_of(args.arm, args.evaluation_sampler, native, experiment, policy)
    weights = policies.digest(scale.models[experiment.model].path)
    if args.arm != "base":
        if args.run is None or args.selection is None:
            raise ValueError(f"--arm {args.arm}: --run and --selection are missing")
        epoch = frame_file.selected_epoch(args.selection, args.arm, scale.name, experiment.name)
        load_checkpoint(policy, args.run, epoch, args.arm, experiment, scale)
        weights += (read_manifest(args.run / "checkpoints.csv")[epoch] / SUMS).read_text(
            encoding="utf-8"
        )
        log(f"{experiment.name} {args.arm}: checkpoint of epoch {epoch}")
    rows = evaluation_rows(experiment, scale, experiment.evaluation.images_per_prompt)
    # What the images depend on: images of anything else are made again.
    about = [
        experiment.identity("sampler", "precision"),
        sigmas(sampler),
        weights,
        rows,
        digests(image_sources()),
    ]
    made_by = of_json(about)
    with alone(
        args.out / "lock", lambda holder: log(f"{args.out}: {holder} makes these; waiting for it")
    ):
        missing = missing_rows(args.out, rows, made_by)
        if len(missing) < len(rows):
            log(f"{len(rows) - len(missing)} images of {len(rows)} are there already")
        images = generate(
            policy,
            sampler,
            experiment.sampler.guidance_scale,
            [(prompt, image_seed) for _, prompt, image_seed in missing],
            experiment.evaluation.batch,
        )
        write_images(args.out, rows, (image.numpy() for image in images), made_by)
    log(f"{len(rows)} images in {args.out}")


if __name__ == "__main__":
    run(main)
