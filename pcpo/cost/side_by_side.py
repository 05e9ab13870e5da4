"""CPU time of epochs on a small model: our training loop beside the official order of work, and one
arm beside another.

Both train equal copies of the model. An epoch of one follows an epoch of the other (of two arms: a
few epochs), so that other work on the machine slows both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from pcpo.compared import COMPARED
from pcpo.config import Experiment, load_arm
from pcpo.cost.bench import batch_of, with_execution
from pcpo.cost.iteration_time import PROMPTS, laps
from pcpo.cost.official_order import OfficialOrder
from pcpo.policies.base import Policy
from pcpo.training.run import Reward

IMAGES = 8  # of an epoch, all in one update
STEPS = 3  # of the sampler: a ratio hardly depends on it
GUIDANCE = 4.5  # of Flow-GRPO, as published; without guidance the original doubles the batch too
# Numbers of configurations: DDPO, DanceGRPO on SD and on FLUX, Flow-GRPO with its KL term.
ALGORITHMS = (1, 5, 6, 8)
SIZES = (1, 2, 4, 8)
# Images of a forward in sampling and in training where the published ones differ (ddpo
# config/dgx.py), and our micro-batch: theirs, or the one that config/defaults.yaml has. The others
# are equal: DanceGRPO on SD 4, on FLUX 1, Flow-GRPO 8.
PUBLISHED = ((1, 8, 4, 4), (1, 8, 4, 8))


@dataclass(frozen=True)
class Comparison:
    """CPU seconds of pairs of epochs.

    sample, train: images of a forward of the official loop in sampling and in training. own: our
    micro-batch.
    """

    experiment: Experiment
    arm: str
    sample: int
    train: int
    own: int
    ours: Sequence[float]
    official: Sequence[float]

    @property
    def shown(self) -> str:
        """The ratio of the least times, and the median of the ratios of pairs."""
        pairs = median(a / b for a, b in zip(self.ours, self.official, strict=True))
        return f"{min(self.ours) / min(self.official):.2f} ({pairs:.2f})"


def compared(experiment: Experiment) -> Experiment:
    """The experiment with few steps and without a moving average, which is not compared."""
    sampler: dict[str, float] = {"steps": STEPS}
    if experiment.algorithm == "flow_grpo":
        sampler["guidance_scale"] = GUIDANCE
    changed = experiment.sampler.model_copy(update=sampler)
    return experiment.model_copy(update={"sampler": changed, "ema": None})


def compare(
    experiment: Experiment,
    arm: str,
    load: Callable[[Experiment], Policy],
    reward: Reward,
    sample: int,
    train: int,
    own: int,
    pairs: int | None = None,
) -> Comparison:
    """Measure pairs of epochs, after one that warms up.

    pairs: their number; without it more of the shorter ones, with larger forwards.
    load: makes the trainable policy, each time the same. A sampler arm of ours samples as many
    images together as the original, a matching arm as many as it trains.
    """
    chosen = batch_of(compared(experiment), IMAGES, own)
    chosen = with_execution(chosen, rollout_batch=max(sample, own))
    plain = OfficialOrder(load(chosen), chosen, reward, PROMPTS, sample=sample, train=train)
    official: list[float] = []

    def epoch() -> None:
        started = time.process_time()
        plain.epoch()
        official.append(time.process_time() - started)

    count = 1 + (pairs or 4 + train)
    measured = laps(load(chosen), chosen, load_arm(arm), reward, count, time.process_time, epoch)
    ours = [lap.iteration for lap in measured]
    return Comparison(experiment, arm, sample, train, own, ours[1:], official[1:])


BLOCKS = 8  # of epochs of each of two arms
EPOCHS = 3  # of a block, after one that warms up


def compare_arms(
    experiment: Experiment,
    load: Callable[[Experiment], Policy],
    reward: Reward,
    blocks: int = BLOCKS,
) -> list[float]:
    """CPU seconds of an epoch of PCPO over one of the baseline, a ratio for each pair of blocks.

    The experiment as it is, without validation and in one update an epoch. A block is the median of
    `EPOCHS`; which arm comes first changes from pair to pair.
    """
    images, own = experiment.images_per_iteration, experiment.batch.micro_batch
    chosen = batch_of(experiment, images, own)
    ratios = []
    for number in range(blocks):
        seconds = {}
        for arm in COMPARED if number % 2 else COMPARED[::-1]:
            measured = laps(
                load(chosen), chosen, load_arm(arm), reward, EPOCHS + 1, time.process_time
            )
            seconds[arm] = median(lap.iteration for lap in measured[1:])
        ratios.append(seconds["pcpo"] / seconds["baseline"])
    return ratios


def markdown(rows: Sequence[Comparison]) -> str:
    """A line for each experiment and pair of sizes, its arms side by side."""
    cells: dict[tuple[str, int, int, int], dict[str, str]] = {}
    for row in rows:
        key = (row.experiment.description, row.sample, row.train, row.own)
        cells.setdefault(key, {})[row.arm] = row.shown
    lines = [
        "| configuration | official: images of a forward in sampling, in training | "
        "our micro-batch | " + " | ".join(f"`{arm}` / official" for arm in COMPARED) + " |",
        "| :-- | --: | --: |" + " --: |" * len(COMPARED),
    ]
    for (name, sample, train, own), shown in cells.items():
        arms = " | ".join(shown.get(arm, "") for arm in COMPARED)
        lines.append(f"| {name} | {sample}, {train} | {own} | {arms} |")
    return "\n".join(lines)
