"""Align a diffusers pipeline with a reward of your own; docs/align.md explains it.

PYTHONPATH=. python examples/align_your_model.py            the demo's model, after `make demo`
... python examples/align_your_model.py --pipeline FOLDER --full      a published model, on a GPU
"""

import argparse

from torch import Tensor

import pcpo

PROMPTS = ["red circle", "blue star", "green square", "yellow triangle"]
# For the demo's model of 32 x 32 pixels. Without settings the sizes are those of scale `pilot`.
SMALL = {
    "sampler": {"resolution": 32, "steps": 10, "guidance_scale": 2.0},
    "batch": {"images_per_iteration": 32, "micro_batch": 16},
    "optimizer": {"learning_rate": 4e-3},
    "clip_range": 5.7e-4,
}


def redness(images: Tensor, prompts: list[str]) -> Tensor:
    """How red images uint8 (B, 3, H, W) are: (B,), from -1 to 1. The prompts do not matter."""
    red, green, blue = (images.float().mean(dim=(2, 3)) / 255).unbind(1)
    return red - (green + blue) / 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipeline", default="results/demo/synthetic/sd15", help="its folder")
    parser.add_argument("--credit", default="pcpo", help="an arm of config/arms.yaml")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--out", default="results/own/redness", help="folder of the run")
    parser.add_argument("--full", action="store_true", help="the sizes of a published model")
    args = parser.parse_args()
    aligned = pcpo.align(
        pipeline=args.pipeline,
        reward=redness,
        prompts=PROMPTS,
        credit=args.credit,
        epochs=args.epochs,
        out=args.out,
        settings={} if args.full else SMALL,
    )
    first, last = aligned.rewards[0], aligned.rewards[-1]
    print(f"mean reward of an epoch's images: {first:.3f} at first, {last:.3f} at last")
    print(f'load it in diffusers: pipeline.load_lora_weights("{aligned.checkpoint}")')


if __name__ == "__main__":
    main()
