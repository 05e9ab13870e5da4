"""Score images of unseen prompts with every alignment metric (Tables 5 and 9).

Two checkpoints of each arm: that of the published epoch, and the one matched in reward.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pcpo.cli.console import Log, experiment_parser, resolved, run, sampler_option, setup, uses
from pcpo.config import Experiment, load_experiment, load_scale


def checkpoints(
    experiment: Experiment, scale: str, selection: Path, runs: Mapping[str, Path]
) -> dict[tuple[str, int], list[str]]:
    """(arm, epoch) -> the pairs that this checkpoint is of (`frames.ALIGNMENT`, `checkpoint`).

    runs: arm -> folder of its run. So a checkpoint that is of both pairs is sampled once. Raises
    ValueError for an arm that the selection lacks, or without a checkpoint up to its epoch.
    """
    from pcpo.cli.evaluation import last_checkpoint
    from pcpo.records.frame_file import selected_epoch

    found: dict[tuple[str, int], list[str]] = {("base", 0): ["base"]}
    published = experiment.alignment_checkpoint
    for arm, folder in runs.items():
        if published is not None:
            upto = getattr(published, arm)
            found.setdefault((arm, last_checkpoint(folder, upto)), []).append("published")
        matched = selected_epoch(selection, arm, scale, experiment.name)
        found.setdefault((arm, matched), []).append("matched")
    return found


def main() -> None:
    parser = experiment_parser(__doc__)
    parser.add_argument("--selection", type=Path, required=True)
    parser.add_argument("--arm", nargs=2, action="append", metavar=("ARM", "RUN"), default=[])
    parser.add_argument("--out", type=Path, required=True)
    sampler_option(parser)
    args = parser.parse_args()
    uses(read=[args.selection, *(folder for _, folder in args.arm)], wrote=[args.out])

    import pandas as pd

    from pcpo.cli.evaluation import (
        cut_prompts,
        device_of,
        load_checkpoint,
        load_policy,
        load_reward,
        sampler_of,
        score,
    )
    from pcpo.prompts.draws import evaluation_prompts
    from pcpo.prompts.file import read_prompts
    from pcpo.prompts.needs import needs_of
    from pcpo.records import frame_file, frames

    setup()
    log = Log(args.log)
    experiment, scale = load_experiment(args.experiment, args.scale), load_scale(args.scale)
    resolved(experiment=experiment, scale=scale, seed=args.seed)
    device = device_of(args, scale)
    policy, native = load_policy(experiment, scale, device)
    wanted = {key for dataset in experiment.alignment for key in scale.alignment[dataset].values()}
    functions = {key: load_reward(scale, key, device) for key in sorted(wanted)}
    parts = []
    runs = {arm: Path(folder) for arm, folder in args.arm}
    compared = checkpoints(experiment, scale.name, args.selection, runs)
    for (arm, epoch), pairs in compared.items():
        sampler = sampler_of(arm, args.evaluation_sampler, native, experiment, policy)
        if arm != "base":
            load_checkpoint(policy, runs[arm], epoch, arm, experiment, scale)
        for dataset in experiment.alignment:
            model, file = scale.models[experiment.model].path, scale.prompts[dataset]
            columns = scale.alignment[dataset]
            prompts = read_prompts(file, needs_of(scale, *columns.values()))
            if cut := cut_prompts(model, dataset, file, prompts):
                log(cut)
            most = experiment.evaluation.alignment_prompts or len(prompts)
            rows = [
                (prompt_id, image)
                for prompt_id in evaluation_prompts(prompts, most)
                for image in range(experiment.evaluation.alignment_images)
            ]
            items = [(prompts[prompt_id], image) for prompt_id, image in rows]
            own = {key: functions[key] for key in columns.values()}
            scores = score(policy, sampler, experiment, own, items, stream="alignment")
            for column, key in columns.items():
                frame = pd.DataFrame(rows, columns=["prompt_id", "image"])
                frame = frame.assign(
                    experiment=experiment.name, arm=arm, seed=args.seed, epoch=epoch,
                    dataset=dataset, score=column, value=scores[key],
                )  # fmt: skip
                parts += [frame.assign(checkpoint=pair) for pair in pairs]
                log(f"{arm} epoch {epoch} {dataset} {column}: {scores[key].mean():.5g}")
    frame_file.write(pd.concat(parts, ignore_index=True), frames.ALIGNMENT, args.out, scale.name)


if __name__ == "__main__":
    run(main, alone="--out")
