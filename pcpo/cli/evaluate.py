"""Measure an experiment's images: overall and per prompt, against the base model's."""

from __future__ import annotations

from pathlib import Path

from pcpo.cli.console import Log, experiment_parser, resolved, run, setup, uses
from pcpo.config import load_experiment, load_scale


def main() -> None:
    parser = experiment_parser(__doc__)
    parser.add_argument("--base", type=Path, required=True, help="folder of the base's images")
    parser.add_argument("--arm", nargs=2, action="append", metavar=("ARM", "FOLDER"), default=[])
    parser.add_argument("--overall", type=Path, required=True)
    parser.add_argument("--per-prompt", type=Path, required=True)
    args = parser.parse_args()
    folders = {"base": args.base} | {arm: Path(path) for arm, path in args.arm}
    uses(read=folders.values(), wrote=[args.overall, args.per_prompt])

    from pcpo.evaluation.feature_cache import ImageSet
    from pcpo.evaluation.quality import load_extractors, measure
    from pcpo.records import frame_file, frames
    from pcpo.training.processes import Processes

    setup()
    log = Log(args.log)
    experiment, scale = load_experiment(args.experiment, args.scale), load_scale(args.scale)
    resolved(experiment=experiment, scale=scale, seed=args.seed)
    device = Processes.start(args.device or scale.device).device
    extractors = load_extractors(scale, device)
    sets = {}
    for arm, folder in folders.items():
        sets[arm] = ImageSet(folder, extractors, scale.quality)
        done = ", ".join(sets[arm].computed)
        log(f"{arm}: {len(sets[arm])} images, " + (f"computed {done}" if done else "known before"))
    overall, per_prompt = measure(sets, sets["base"], scale.quality, experiment.name, args.seed)
    for row in overall.itertuples():
        log(f"{row.arm} {row.measured}: {row.value:.5g} on {row.images} images")
    frame_file.write(per_prompt, frames.METRICS_PER_PROMPT, args.per_prompt, scale.name)
    frame_file.write(overall, frames.METRICS_OVERALL, args.overall, scale.name)


if __name__ == "__main__":
    run(main, alone="--overall")
