"""Measure an experiment's images: overall and per prompt, against the base model's."""

from __future__ import annotations

from pathlib import Path

from pcpo.cli.console import Log, experiment_parser, run, setup
from pcpo.config import load_scale


def main() -> None:
    parser = experiment_parser(__doc__)
    parser.add_argument("--base", type=Path, required=True, help="folder of the base's images")
    parser.add_argument("--arm", nargs=2, action="append", metavar=("ARM", "FOLDER"), default=[])
    parser.add_argument("--overall", type=Path, required=True)
    parser.add_argument("--per-prompt", type=Path, required=True)
    args = parser.parse_args()

    from pcpo import features, frames
    from pcpo.quality import ImageSet, measure

    setup()
    log = Log(args.log)
    scale = load_scale(args.scale)
    extractors = {name: features.load(name, path) for name, path in scale.features.items()}
    base = ImageSet(args.base, extractors)
    sets = {"base": base} | {arm: ImageSet(Path(path), extractors) for arm, path in args.arm}
    overall, per_prompt = measure(sets, base, scale.quality, args.experiment, args.seed)
    for row in overall.itertuples():
        log(f"{row.arm} {row.measured}: {row.value:.5g} on {row.images} images")
    frames.write(per_prompt, frames.METRICS_PER_PROMPT, args.per_prompt)
    frames.write(overall, frames.METRICS_OVERALL, args.overall)


if __name__ == "__main__":
    run(main)
