"""Generate the evaluation images of a selected checkpoint, or of the base model."""

from __future__ import annotations

from pathlib import Path

from pcpo.cli.console import Log, experiment_parser, run, setup
from pcpo.config import load_experiment, load_scale


def main() -> None:
    parser = experiment_parser(__doc__)
    parser.add_argument("--arm", default="base")
    parser.add_argument("--run", type=Path, help="folder of the arm's run")
    parser.add_argument("--selection", type=Path, help="which of its checkpoints")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    from pcpo import frames
    from pcpo.cli.evaluation import device_of, evaluation_rows, load_checkpoint, load_policy
    from pcpo.generation import generate
    from pcpo.shards import write_images

    setup()
    log = Log(args.log)
    experiment, scale = load_experiment(args.experiment, args.scale), load_scale(args.scale)
    device = device_of(args, scale)
    policy, sampler = load_policy(experiment, scale, device)
    if args.arm != "base":
        if args.run is None or args.selection is None:
            raise ValueError(f"--arm {args.arm}: --run and --selection are missing")
        epoch = frames.selected_epoch(args.selection, args.arm)
        load_checkpoint(policy, args.run, epoch, args.arm, experiment, scale)
        log(f"{experiment.name} {args.arm}: checkpoint of epoch {epoch}")
    rows = evaluation_rows(experiment, scale, experiment.evaluation.seeds)
    images = generate(
        policy,
        sampler,
        experiment.sampler.guidance_scale,
        [(prompt, seed) for _, prompt, seed in rows],
        experiment.evaluation.batch,
    )
    write_images(args.out, rows, (image.numpy() for image in images))
    log(f"{len(rows)} images in {args.out}")


if __name__ == "__main__":
    run(main)
