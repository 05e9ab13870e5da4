"""Sample between a base model and aligned models, and score the images (Figures 13 and 14)."""

from __future__ import annotations

from pathlib import Path

from pcpo.cli.console import Log, experiment_parser, resolved, run, setup, uses
from pcpo.config import load_experiment, load_experiments, load_scale
from pcpo.config.reward_guidance import ARM, folder_of, guided

_MIXING = ("pcpo.evaluation.reward_guidance", "pcpo.evaluation.checkpoints")
DISTANCE = "fid"  # the metric column (`quality:`) whose distance to the base's images is measured


def main() -> None:
    parser = experiment_parser(__doc__)
    parser.add_argument(
        "--run", type=Path, action="append", default=[],
        help="folder of an aligned model's run; the experiment's first, then that of `beside`",
    )  # fmt: skip
    parser.add_argument("--images", type=Path, required=True, help="one folder per point in it")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    uses(read=args.run, wrote=[args.images, args.out])

    import pandas as pd

    from pcpo import features, policies
    from pcpo.cli.evaluation import (
        checkpoint_folder,
        device_of,
        last_checkpoint,
        load_policy,
        load_reward,
        sigmas,
    )
    from pcpo.evaluation.checkpoints import Checkpoints
    from pcpo.evaluation.feature_cache import ImageSet
    from pcpo.evaluation.generation import generate
    from pcpo.evaluation.guidance_rows import guidance_rows
    from pcpo.evaluation.images import missing_rows, write_images
    from pcpo.evaluation.reward_guidance import guided as guided_by
    from pcpo.prompts.draws import evaluation_prompts
    from pcpo.prompts.file import read_prompts
    from pcpo.prompts.needs import needs_of
    from pcpo.records import frame_file, frames
    from pcpo.records.digest import SUMS, of_json
    from pcpo.records.sources import digests, sources_of
    from pcpo.training.trained_code import image_sources

    setup()
    log = Log(args.log)
    experiment, scale = load_experiment(args.experiment, args.scale), load_scale(args.scale)
    models = guided(load_experiments(args.scale)).get(experiment.name)
    guidance = experiment.reward_guidance
    if models is None or guidance is None:
        raise ValueError(f"{experiment.name}: it has no reward_guidance at scale {scale.name}")
    if len(args.run) != len(models):
        named = " and ".join(model.name for model in models)
        raise ValueError(f"--run: give the folder of the run of {named}, in this order")
    resolved(experiment=experiment, scale=scale, seed=args.seed)
    device = device_of(args, scale)
    folders = []
    for model, folder in zip(models, args.run, strict=True):
        epoch = last_checkpoint(folder, model.epochs)
        folders.append(checkpoint_folder(model, scale, ARM, folder, epoch))
        log(f"{model.name} {ARM}: checkpoint of epoch {epoch}")
    policy, sampler = load_policy(experiment, scale, device)
    checkpoints = Checkpoints(policy, folders)
    rewards = {
        model.reward.name: load_reward(scale, model.reward.name, device, **model.reward.options)
        for model in models
    }
    if DISTANCE not in scale.quality:
        raise ValueError(f"config/scale/{scale.name}.yaml: quality.{DISTANCE} is missing")
    quality = {DISTANCE: scale.quality[DISTANCE]}
    source = quality[DISTANCE]
    extractors = {
        source.features: features.load(
            source.features, scale.features[source.features], device, [source.output]
        )
    }
    prompts = read_prompts(scale.prompts[guidance.prompts], needs_of(scale, *rewards))
    rows = [
        (i, prompts[i], image_seed)
        for i in evaluation_prompts(prompts, guidance.count)
        for image_seed in range(guidance.images_per_prompt)
    ]
    # One shape for all forwards of the job, and no batch is filled up with copies of one image.
    batch = min(experiment.evaluation.batch, len(rows))
    about = [
        experiment.identity("sampler", "precision"),
        sigmas(sampler),
        policies.digest(scale.models[experiment.model].path),
        batch,
        *((folder / SUMS).read_text(encoding="utf-8") for folder in folders),
        digests(tuple(sorted({*image_sources(), *sources_of(*_MIXING)}))),
    ]
    found, base = [], None
    for strengths in guidance.points:
        folder = args.images / folder_of(strengths)
        made_by = of_json([*about, strengths, rows])
        missing = missing_rows(folder, rows, made_by)
        images = generate(
            policy,
            sampler,
            experiment.sampler.guidance_scale,
            [(prompt, image_seed) for _, prompt, image_seed in missing],
            batch,
            conditioned=guided_by(checkpoints, strengths),
        )
        write_images(folder, rows, (image.numpy() for image in images), made_by)
        own = ImageSet(folder, extractors, quality)
        base = base or own
        point = [*guidance_rows(own, base, rewards, quality, batch)]
        beside = strengths[1] if len(strengths) > 1 else 0.0
        key = {"experiment": experiment.name, "arm": ARM, "seed": args.seed}
        key |= {"strength": strengths[0], "beside_strength": beside}
        found += [key | row for row in point]
        means = pd.DataFrame(point).groupby("measure")["value"].mean()
        values = ", ".join(f"{name} {value:.5g}" for name, value in means.items())
        log(f"strengths {folder.name}: {len(missing)} images made; {values}")
    frame = frame_file.of_rows(found, frames.REWARD_GUIDANCE)
    frame_file.write(frame, frames.REWARD_GUIDANCE, args.out, scale.name)


if __name__ == "__main__":
    run(main, alone="--out")
