"""What rewards cost: the bytes of their networks, and the FLOPs to score an image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pcpo.config import load_scale
from pcpo.training.trained_code import reward_sources

if TYPE_CHECKING:
    from pcpo.config import Experiment, Scale


@dataclass(frozen=True)
class Reward:
    """A reward's models: bytes of their weights on the GPU, and TFLOP to score an image."""

    bytes: float
    tflop: float


# CLIP sizes and FLOPs are counted (a test counts again); the others are their publishers' sizes.
# Qwen's FLOPs: 2 x weights x about 500 tokens; 64 of them are generated one by one, which takes
# longer than its FLOPs alone. `reward_cost` is what the plan asks: any reward has one.
REWARDS = {
    "aesthetic": Reward(4 * 427.6e6, 0.17),  # CLIP ViT-L/14
    "hps": Reward(4 * 986.1e6, 0.38),  # open_clip ViT-H/14
    "pickscore": Reward(4 * 986.1e6, 0.38),
    "clipscore": Reward(4 * 986.7e6, 1.06),  # ViT-H/14 at 378 pixels
    "imagereward": Reward(4 * 447.0e6, 0.19),  # BLIP with ViT-L/16
    "bertscore": Reward(2 * 3.75e9 + 4 * 0.76e9, 4.0),  # Qwen2.5-VL-3B and DeBERTa-xlarge
    "ocr": Reward(0, 0.0),  # on the CPU
    "layout": Reward(0, 0.0),  # pixels alone
    "texture": Reward(0, 0.0),
}


def counted_as(module: str) -> tuple[str, ...]:
    """The rewards of `REWARDS` that a module of pcpo/rewards is counted as: () where there is none.

    Itself, or those whose modules it imports: what starts from them has their networks.
    """
    if module in REWARDS:
        return (module,)
    sources = map(PurePosixPath, reward_sources(module))
    names = (source.stem for source in sources if source.parent.name == "rewards")
    return tuple(name for name in names if name in REWARDS)


def reward_cost(module: str) -> Reward:
    """What a module of pcpo/rewards costs: 0 where it is counted as none."""
    parts = [REWARDS[name] for name in counted_as(module)]
    return Reward(sum(part.bytes for part in parts), sum(part.tflop for part in parts))


def reward_module(scale: Scale, reward: str) -> str:
    """The module of pcpo/rewards behind a key under `rewards` of a scale."""
    return scale.rewards[reward].implementation or reward


def own_reward(experiment: Experiment) -> Reward:
    """What the reward costs by which the experiment trains and selects."""
    return _at_scale(experiment.scale, experiment.reward.name)


@cache
def _at_scale(scale: str, reward: str) -> Reward:
    return reward_cost(reward_module(load_scale(scale), reward))
