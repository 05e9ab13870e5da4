"""Measure at which sampler steps rewards are decided, on images of a base model.

    python -m pcpo.cli.decided 01 --scale demo --reward layout --reward texture --out decided.csv

Row t of a reward says which share of its variance over the images of a prompt is decided by the
initial noise and the first t steps (pcpo/evaluation/decided.py).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pcpo.cli.console import Log, experiment_parser, resolved, run, setup, uses
from pcpo.config import load_experiment, load_scale


def main() -> None:
    parser = experiment_parser(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--reward", action="append", help="of the scale; the configuration's own without it"
    )
    parser.add_argument("--images", type=int, default=8, help="of each prompt, 2 or more")
    parser.add_argument("--out", type=Path, required=True, help="a Parquet or CSV file")
    args = parser.parse_args()
    uses(wrote=[args.out])
    experiment, scale = load_experiment(args.experiment, args.scale), load_scale(args.scale)
    resolved(experiment=experiment, scale=scale, seed=args.seed)

    import torch

    from pcpo.cli.evaluation import device_of, evaluation_rows, load_policy, load_reward
    from pcpo.evaluation.decided import decided, scores_of_images
    from pcpo.records import frame_file, frames

    setup()
    log = Log(args.log)
    device = device_of(args, scale)
    names = list(dict.fromkeys(args.reward or [experiment.reward.name]))
    for name in names:
        if name not in scale.rewards:
            raise ValueError(
                f"--reward {name}: scale {scale.name} has no such reward; it has "
                f"{', '.join(scale.rewards)}"
            )
    options = {experiment.reward.name: experiment.reward.options}
    rewards = [load_reward(scale, name, device, **options.get(name, {})) for name in names]
    policy, sampler = load_policy(experiment, scale, device)
    items = [row[1:] for row in evaluation_rows(experiment, scale, args.images)]
    guidance, batch = experiment.sampler.guidance_scale, experiment.evaluation.batch
    parts = []
    for part in scores_of_images(policy, sampler, guidance, rewards, items, batch, args.seed):
        parts.append(part)
        log(f"{sum(part.shape[-1] for part in parts)} of {len(items)} images")
    scores = torch.cat(parts, dim=-1).unflatten(-1, (-1, args.images)).numpy()
    rows = []
    for number, name in enumerate(names):
        shares, errors = decided(scores[:, number])
        rows += [
            (experiment.name, name, steps, share, error, len(items))
            for steps, (share, error) in enumerate(zip(shares, errors, strict=True))
        ]
        log(f"{name}: " + " ".join(f"{share:.2f}" for share in shares))
    about = [dict(zip(frames.DECIDED.columns, row, strict=True)) for row in rows]
    frame_file.write(
        frame_file.of_rows(about, frames.DECIDED), frames.DECIDED, args.out, scale.name
    )


if __name__ == "__main__":
    run(main)
