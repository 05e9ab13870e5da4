"""Sample between a base model and checkpoints of it: implicit reward guidance (appendix F).

    python -m pcpo.cli.guide 2 --prompts prompts.txt --out guided \\
        --checkpoint results/demo/runs/02_ddpo_aesthetic/pcpo/seed0/checkpoints/epoch_00030 0.5 \\
        --checkpoint results/demo/runs/04_ddpo_bertscore/pcpo/seed0/checkpoints/epoch_00040 0.5

The configuration gives base model, sampler and classifier-free guidance. A checkpoint is a folder
with an adapter or a whole denoiser in diffusers' layout. Strength 0 is the base model, 1 the
checkpoint; a strength above 1 goes further, and a negative one the other way.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from pcpo.cli.console import Log, experiment_parser, run, setup, uses
from pcpo.config import ModelSource, load_experiment, load_scale


def main() -> None:
    parser = experiment_parser(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--base", help="folder of the base model; the scale's own without it")
    parser.add_argument(
        "--checkpoint", nargs=2, action="append", required=True, metavar=("FOLDER", "STRENGTH")
    )
    parser.add_argument("--prompts", type=Path, required=True, help="text file, one in each line")
    parser.add_argument("--images", type=int, default=1, help="of each prompt")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    args = parser.parse_args()
    checkpoints = [(Path(folder), _strength(text)) for folder, text in args.checkpoint]
    folders = [folder for folder, _ in checkpoints]
    uses(read=[args.prompts, *folders], wrote=[args.out])
    for folder in folders:
        if not folder.is_dir():
            raise FileNotFoundError(f"--checkpoint {folder}: there is no such folder")
    if args.images < 1:
        raise ValueError(f"--images {args.images}: give 1 or more")
    if args.out.exists() and any(args.out.iterdir() if args.out.is_dir() else [args.out]):
        raise ValueError(f"--out {args.out}: exists and is not empty; give a new folder")

    from pcpo import policies
    from pcpo.cli.evaluation import device_of, load_policy
    from pcpo.evaluation.checkpoints import Checkpoints
    from pcpo.evaluation.generation import generate
    from pcpo.evaluation.images import write_images
    from pcpo.evaluation.reward_guidance import guided
    from pcpo.prompts.file import read_prompts
    from pcpo.training.run_folder import verify_checkpoint

    setup()
    log = Log(args.log)
    experiment, scale = load_experiment(args.experiment, args.scale), load_scale(args.scale)
    if args.base:
        source = ModelSource(path=str(Path(args.base).absolute()))
        scale = scale.model_copy(update={"models": scale.models | {experiment.model: source}})
    prompts = read_prompts(args.prompts)
    policy, sampler = load_policy(experiment, scale, device_of(args, scale))
    base = policies.digest(scale.models[experiment.model].path)
    for folder in folders:
        if (folder / "checkpoint.json").exists():  # of a run here: it names its base model
            verify_checkpoint(folder, base=base)
    loaded = Checkpoints(policy, folders)
    rows = [(i, prompt, seed) for i, prompt in enumerate(prompts) for seed in range(args.images)]
    images = generate(
        policy,
        sampler,
        experiment.sampler.guidance_scale,
        [(prompt, seed) for _, prompt, seed in rows],
        min(experiment.evaluation.batch, len(rows)),
        conditioned=guided(loaded, [strength for _, strength in checkpoints]),
    )
    write_images(args.out, rows, (image.numpy() for image in images))
    log(f"{len(rows)} images in {args.out}: a zip of PNGs for each prompt, and index.csv")


def _strength(text: str) -> float:
    try:
        strength = float(text)
    except ValueError:
        strength = math.nan
    if not math.isfinite(strength):
        raise ValueError(f"--checkpoint ... {text}: the strength is a number, as 0.5")
    return strength


if __name__ == "__main__":
    run(main)
