"""Rule `study_pairs`: runs -> the image pairs of the preference study, and their sealed key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pcpo.cli.console import Log, experiment_parser, resolved, run, setup, uses
from pcpo.config import Experiment, Scale, load_experiment, load_scale
from pcpo.preference.checkpoints import IMAGES_PER_PROMPT

if TYPE_CHECKING:
    from pcpo.policies.base import Policy
    from pcpo.rewards import Reward
    from pcpo.samplers import Sampler


def main() -> None:
    parser = experiment_parser(__doc__)
    parser.add_argument("--run", nargs=4, action="append", required=True,
                        metavar=("SEED", "BASELINE", "PCPO", "SELECTION"),
                        help="a training seed: folders of its runs, their selection")  # fmt: skip
    parser.add_argument("--images", type=int, default=IMAGES_PER_PROMPT,
                        help=f"of each prompt; the paper has {IMAGES_PER_PROMPT}")  # fmt: skip
    parser.add_argument("--keys", type=Path, required=True, help="folder for the key")
    parser.add_argument("--out", type=Path, required=True, help="pairs.json of the new folder")
    args = parser.parse_args()
    places = [Path(place) for _, *folders in args.run for place in folders]
    uses(read=places, wrote=[args.out, args.keys])

    from pcpo.cli.evaluation import device_of, evaluation_rows, load_policy, load_reward
    from pcpo.preference.checkpoints import Compared, bracket, published
    from pcpo.preference.pairs import Checkpoint, Pictures, write_pool
    from pcpo.records.frame_file import selected_epoch
    from pcpo.training.run_folder import read_manifest

    setup()
    log = Log(args.log)
    experiment, scale = load_experiment(args.experiment, args.scale), load_scale(args.scale)
    resolved(experiment=experiment, scale=scale)
    device = device_of(args, scale)
    policy, sampler = load_policy(experiment, scale, device)
    reward = load_reward(scale, experiment.reward.name, device, **experiment.reward.options)
    rows = evaluation_rows(experiment, scale, args.images)
    painter = _Painter(policy, sampler, reward, experiment, scale, log)
    pictures: list[Pictures] = []
    checkpoints: list[Checkpoint] = []
    for number, (seed, baseline, pcpo, selection) in enumerate(args.run):
        runs = {"baseline": Path(baseline), "pcpo": Path(pcpo)}
        manifests = {arm: read_manifest(place / "checkpoints.csv") for arm, place in runs.items()}
        # With several training seeds each has its share of the images of every prompt.
        own = [row for row in rows if row[2] % len(args.run) == number]
        made = cache(partial(painter.images, runs, own))
        found = published(manifests["pcpo"], manifests["baseline"])
        if found is None:
            epochs = {
                arm: selected_epoch(selection, arm, scale.name, experiment.name) for arm in runs
            }
            found = Compared(
                epochs["pcpo"],
                *bracket(
                    [*manifests["baseline"]], epochs["baseline"],
                    made("pcpo", epochs["pcpo"]).reward,
                    partial(_reward, made),
                ),
            )  # fmt: skip
        shown = {
            "pcpo": made("pcpo", found.pcpo),
            "lower_reward": made("baseline", found.lower),
            "higher_reward": made("baseline", found.higher),
        }
        checkpoints += [
            Checkpoint.model_validate(
                {"seed": int(seed), "arm": one.arm, "epoch": one.epoch, "role": role,
                 "reward": one.reward, "images": len(one.images)}
            )
            for role, one in shown.items()
        ]  # fmt: skip
        for place, (prompt_id, prompt, image_seed) in enumerate(own):
            images = {role: one.images[place] for role, one in shown.items()}
            pictures.append(
                Pictures(
                    prompt_id=prompt_id, prompt=prompt, image_seed=image_seed, seed=int(seed),
                    pcpo=images.pop("pcpo"), baseline=images,
                    epochs={role: one.epoch for role, one in shown.items()},
                )
            )  # fmt: skip
    pool = write_pool(
        args.out.parent, args.keys, pictures, checkpoints, scale.name, experiment.name
    )
    log(f"{len(pool.pairs)} pairs in {args.out.parent}; key {pool.key[:12]} in {args.keys}")


def _reward(made: Callable[[str, int], _Drawn], epoch: int) -> float:
    return made("baseline", epoch).reward


@dataclass(frozen=True)
class _Drawn:
    """A checkpoint's images `uint8 (3, H, W)`, and their mean reward."""

    arm: str
    epoch: int
    images: list[np.ndarray]
    reward: float


@dataclass(frozen=True)
class _Painter:
    """Makes and scores images of any checkpoint of an experiment."""

    policy: Policy
    sampler: Sampler
    reward: Reward
    experiment: Experiment
    scale: Scale
    log: Log

    def images(
        self, runs: Mapping[str, Path], rows: Sequence[tuple[int, str, int]], arm: str, epoch: int
    ) -> _Drawn:
        """Of the rows (prompt_id, prompt, image_seed), in order."""
        import torch

        from pcpo.cli.evaluation import load_checkpoint
        from pcpo.evaluation.generation import generate

        load_checkpoint(self.policy, runs[arm], epoch, arm, self.experiment, self.scale)
        items = [(prompt, image_seed) for _, prompt, image_seed in rows]
        batch = self.experiment.evaluation.batch
        guidance = self.experiment.sampler.guidance_scale
        stream = generate(self.policy, self.sampler, guidance, items, batch)
        images: list[np.ndarray] = []
        scores = []
        for start in range(0, len(items), batch):
            prompts = [prompt for prompt, _ in items[start : start + batch]]
            stack = torch.stack([next(stream) for _ in prompts])
            scores.append(self.reward(stack, prompts).double().numpy())
            images += list(stack.cpu().numpy())
        mean = float(np.concatenate(scores).mean())
        self.log(f"{arm} epoch {epoch}: reward {mean:.5g} on {len(images)} images")
        return _Drawn(arm, epoch, images, mean)


if __name__ == "__main__":
    run(main, alone="--out")
