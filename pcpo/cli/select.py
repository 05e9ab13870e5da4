"""Select the checkpoints that are compared at matched reward, one row per arm."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache, partial
from pathlib import Path

from pcpo.cli.console import Log, experiment_parser, resolved, run, sampler_option, setup, uses
from pcpo.config import load_experiment, load_scale


def main() -> None:
    parser = experiment_parser(__doc__)
    parser.add_argument("--run", type=Path, action="append", required=True,
                        help="folder of an arm's run; the first is the baseline")  # fmt: skip
    parser.add_argument("--out", type=Path, required=True)
    sampler_option(parser)
    args = parser.parse_args()
    uses(read=args.run, wrote=[args.out])

    import numpy as np
    import pandas as pd

    from pcpo.analysis.reward_levels import pair_level
    from pcpo.cli.evaluation import (
        device_of,
        evaluation_rows,
        load_checkpoint,
        load_policy,
        load_reward,
        sampler_of,
        score,
        sigmas,
    )
    from pcpo.evaluation.score_cache import KeptScores
    from pcpo.evaluation.selection import select_baseline, select_matched
    from pcpo.records import frame_file, frames
    from pcpo.records.sources import digests
    from pcpo.training.run_folder import read_manifest
    from pcpo.training.trained_code import image_sources, reward_sources

    setup()
    log = Log(args.log)
    experiment, scale = load_experiment(args.experiment, args.scale), load_scale(args.scale)
    resolved(experiment=experiment, scale=scale, seed=args.seed)
    if len(args.run) < 2:
        raise ValueError("--run: give the baseline's folder and at least one other arm's")
    rows = evaluation_rows(experiment, scale, experiment.evaluation.selection_images_per_prompt)
    items = [(prompt, image_seed) for _, prompt, image_seed in rows]
    few = experiment.evaluation.screening_images_per_prompt
    screened = np.array([image_seed < few for _, image_seed in items])
    device = device_of(args, scale)
    policy, native = load_policy(experiment, scale, device)
    reward = load_reward(scale, experiment.reward.name, device, **experiment.reward.options)

    updates, manifests, runs = {}, {}, {}
    for folder in args.run:
        file = folder / "updates.parquet"
        frame = frame_file.read(file, frames.UPDATES, scale.name, [experiment.name])
        arm = str(frame["arm"].iloc[0])
        updates[arm] = frame.groupby("epoch")["reward_mean"].first().to_numpy()
        manifests[arm], runs[arm] = read_manifest(folder / "checkpoints.csv"), folder
    names = list(updates)

    source = scale.rewards[experiment.reward.name]
    module = source.implementation or experiment.reward.name
    about = {
        "experiment": experiment.digest("sampler", "precision", "model", "prompts", "reward"),
        "images": items,
        "screened": screened.tolist(),
        "reward": [source.model_dump(mode="json", exclude={"path"}), source.weights_digest()],
        "code": digests((*image_sources(), *reward_sources(module))),
    }
    samplers = {
        arm: sampler_of(arm, args.evaluation_sampler, native, experiment, policy) for arm in names
    }
    kept = {
        arm: KeptScores(args.out.with_suffix(".scores"), about | {"sigmas": sigmas(sampler)})
        for arm, sampler in samplers.items()
    }

    def measure(arm: str, epoch: int, screening: bool = False) -> np.ndarray:
        chosen = [item for item, few in zip(items, screened, strict=True) if few or not screening]

        def scored() -> np.ndarray:
            load_checkpoint(policy, runs[arm], epoch, arm, experiment, scale)
            return score(policy, samplers[arm], experiment, {"reward": reward}, chosen)["reward"]

        name = f"{arm}_epoch_{epoch:05d}_{'few' if screening else 'all'}"
        values = kept[arm].of(name, manifests[arm][epoch], scored)
        log(f"{arm} epoch {epoch}: selection reward {values.mean():.5g} on {len(values)} images")
        return values

    first, others = names[0], names[1:]
    level = pair_level(experiment.evaluation, updates)
    measure_first = cache(partial(measure, first))
    baseline = select_baseline(updates[first], level, sorted(manifests[first]), measure_first)
    reference = measure_first(baseline.epoch)
    chosen = {first: baseline}
    for arm in others:
        chosen[arm] = select_matched(
            updates[arm],
            baseline,
            sorted(manifests[arm]),
            partial(measure, arm),
            reference,
            experiment.evaluation,
            partial(measure, arm, screening=True),
            screened,
        )
    for arm, selected in chosen.items():
        log(f"{arm}: epoch {selected.epoch}, matched {selected.matched}: {selected.reason}")
    frame = pd.DataFrame(
        [
            {"experiment": experiment.name, "arm": arm, "seed": args.seed, **asdict(selected)}
            for arm, selected in chosen.items()
        ]
    )
    frame_file.write(frame, frames.SELECTION, args.out, scale.name)
    kept[first].tidy()


if __name__ == "__main__":
    run(main, alone="--out")
