"""Score images of unseen prompts with every alignment metric (Tables 5 and 9)."""

from __future__ import annotations

from pathlib import Path

from pcpo.cli.console import Log, experiment_parser, resolved, run, sampler_option, setup
from pcpo.config import load_experiment, load_scale


def main() -> None:
    parser = experiment_parser(__doc__)
    parser.add_argument("--selection", type=Path, required=True)
    parser.add_argument("--arm", nargs=2, action="append", metavar=("ARM", "RUN"), default=[])
    parser.add_argument("--out", type=Path, required=True)
    sampler_option(parser)
    args = parser.parse_args()

    import pandas as pd

    from pcpo import frames
    from pcpo.cli.evaluation import (
        cut_prompts,
        device_of,
        last_checkpoint,
        load_checkpoint,
        load_policy,
        load_reward,
        sampler_of,
        score,
    )
    from pcpo.prompts import evaluation_prompts, read_prompts

    setup()
    log = Log(args.log)
    experiment, scale = load_experiment(args.experiment, args.scale), load_scale(args.scale)
    resolved(experiment=experiment, scale=scale, seed=args.seed)
    device = device_of(args, scale)
    policy, native = load_policy(experiment, scale, device)
    wanted = {key for dataset in experiment.alignment for key in scale.alignment[dataset].values()}
    functions = {key: load_reward(scale, key, device) for key in sorted(wanted)}
    parts = []
    for arm, folder in [("base", ""), *args.arm]:
        sampler = sampler_of(arm, args.evaluation_sampler, native, experiment, policy)
        epoch = 0
        if arm != "base":
            if (upto := experiment.alignment_checkpoint) == "selected":
                epoch = frames.selected_epoch(args.selection, arm)
            else:
                epoch = last_checkpoint(Path(folder), upto)
            load_checkpoint(policy, Path(folder), epoch, arm, experiment, scale)
        for dataset in experiment.alignment:
            model, file = scale.models[experiment.model].path, scale.prompts[dataset]
            prompts = read_prompts(file)
            if cut := cut_prompts(model, dataset, file, prompts):
                log(cut)
            most = experiment.evaluation.alignment_prompts or len(prompts)
            rows = [
                (prompt_id, image)
                for prompt_id in evaluation_prompts(prompts, most)
                for image in range(experiment.evaluation.alignment_images)
            ]
            items = [(prompts[prompt_id], image) for prompt_id, image in rows]
            columns = scale.alignment[dataset]
            own = {key: functions[key] for key in columns.values()}
            scores = score(policy, sampler, experiment, own, items, stream="alignment")
            for column, key in columns.items():
                frame = pd.DataFrame(rows, columns=["prompt_id", "image"])
                frame = frame.assign(
                    experiment=experiment.name, arm=arm, seed=args.seed, epoch=epoch,
                    dataset=dataset, score=column, value=scores[key],
                )  # fmt: skip
                parts.append(frame)
                log(f"{arm} epoch {epoch} {dataset} {column}: {scores[key].mean():.5g}")
    frames.write(pd.concat(parts, ignore_index=True), frames.ALIGNMENT, args.out)


if __name__ == "__main__":
    run(main)
