"""Advantages from rewards, one class per baseline; all return float64 `(N,)` clamped to +-clip.

Images are grouped by prompt id, not by decoded text: the baselines' lower-cased and truncated
strings can merge two prompts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pcpo.config import Advantage as AdvantageConfig


class Advantages(ABC):
    """Turns the rewards of one iteration into advantages."""

    def __init__(self, config: AdvantageConfig) -> None:
        self.config = config

    def __call__(self, prompt_ids: NDArray[Any], rewards: NDArray[Any]) -> NDArray[np.float64]:
        """prompt_ids `(N,)`, rewards `(N,)`. Raises ValueError if a reward is not finite."""
        rewards = np.asarray(rewards, dtype=np.float64)
        if not np.isfinite(rewards).all():
            bad = int((~np.isfinite(rewards)).sum())
            raise ValueError(f"{bad} of {len(rewards)} rewards are NaN or infinite")
        values = self._normalise(np.asarray(prompt_ids), rewards)
        return np.clip(values, -self.config.clip, self.config.clip)

    @abstractmethod
    def _normalise(self, ids: NDArray[Any], rewards: NDArray[np.float64]) -> NDArray[np.float64]:
        """Centred and scaled rewards."""

    def state(self) -> dict[str, Any]:
        """The state that a resumed run needs, in JSON types."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the `state` of an earlier run."""


KINDS: dict[str, type[Advantages]] = {}
_Class = TypeVar("_Class", bound=type[Advantages])


def kind(name: str, grouped: bool = True) -> Callable[[_Class], _Class]:
    """Make a class the kind `name` of advantages.

    grouped: it needs `prompts_per_iteration`, several images of each prompt in an iteration. The
    arguments are literal values, because `pcpo.config.declared` reads them from this source.
    """

    def declare(cls: _Class) -> _Class:
        KINDS[name] = cls
        return cls

    return declare


@kind("per_prompt_running", grouped=False)
class PerPromptRunning(Advantages):
    """DDPO: mean and std of a prompt's last `buffer` rewards, the current ones included.

    Prompts with fewer than `min_count` rewards use the whole iteration's statistics.
    Source: ddpo_pytorch/stat_tracking.py:11-36 (numpy's biased std).
    """

    def __init__(self, config: AdvantageConfig) -> None:
        super().__init__(config)
        self.history: dict[int, deque[float]] = {}

    def _normalise(self, ids: NDArray[Any], rewards: NDArray[np.float64]) -> NDArray[np.float64]:
        values = np.empty_like(rewards)
        for prompt in np.unique(ids):
            own = rewards[ids == prompt]
            seen = self.history.setdefault(int(prompt), deque(maxlen=self.config.buffer))
            seen.extend(own.tolist())
            sample = rewards if len(seen) < self.config.min_count else np.asarray(seen)
            values[ids == prompt] = (own - sample.mean()) / (sample.std() + self.config.epsilon)
        return values

    def state(self) -> dict[str, Any]:
        return {"history": {str(k): list(v) for k, v in self.history.items()}}

    def restore(self, state: dict[str, Any]) -> None:
        self.history = {
            int(k): deque(v, maxlen=self.config.buffer) for k, v in state["history"].items()
        }


@kind("per_group")
class PerGroup(Advantages):
    """DanceGRPO: mean and unbiased std of a prompt's images (train_grpo_sd.py:537-547)."""

    def _normalise(self, ids: NDArray[Any], rewards: NDArray[np.float64]) -> NDArray[np.float64]:
        values = np.empty_like(rewards)
        for prompt in np.unique(ids):
            own = rewards[ids == prompt]
            # Equal rewards: 0. DanceGRPO's float32 rounding over its 1e-8 can make them +-0.7.
            std = own.std(ddof=1) if len(own) > 1 else 0.0
            values[ids == prompt] = (own - own.mean()) / (std + self.config.epsilon)
        return values


@kind("group_mean_global_std")
class GroupMeanGlobalStd(Advantages):
    """Flow-GRPO: a prompt's mean, the iteration's biased std (flow_grpo/stat_tracking.py:11-63)."""

    def _normalise(self, ids: NDArray[Any], rewards: NDArray[np.float64]) -> NDArray[np.float64]:
        values = np.empty_like(rewards)
        for prompt in np.unique(ids):
            values[ids == prompt] = rewards[ids == prompt] - rewards[ids == prompt].mean()
        return values / (rewards.std() + self.config.epsilon)


def build(config: AdvantageConfig) -> Advantages:
    return KINDS[config.kind](config)
