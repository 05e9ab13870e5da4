"""The clip range of a run's updates: as configured, or set after each epoch from what was clipped.

An arm's `clipping` names one of the kinds:

fixed       the configured range, below and above.
higher      the upper bound is 1.4 times the lower one, as DAPO's 0.28 and 0.2 (arXiv 2503.14476).
matched     scaled so that the share of clipped terms is the one that the sampler's own log-ratio
            has with the configured range: the share that the baseline's rule clips.
balanced    a bound for each sign of the advantage, so that the same share of positive and of
            negative terms has its gradient off: what all terms have with the configured range.
            BAPO (arXiv 2510.18927) moves its bounds for the same purpose, by another rule.

`matched` and `balanced` take a quantile of the epoch before. The first epoch has the configured
range.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from pcpo.objectives import Bounds

Clipping = Literal["fixed", "higher", "matched", "balanced"]
HIGHER = 1.4


@dataclass
class ClipRange:
    """Factors of the configured clip range, below and above a log-ratio of 0.

    clip_range: as configured. share `(T,)`: of the trust region, float64 on the CPU; None: 1.
    """

    kind: Clipping
    clip_range: float
    share: Tensor | None = None
    lower: float = 1.0
    upper: float = 1.0
    _seen: list[Mapping[str, Tensor]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.kind == "higher":
            self.upper = HIGHER

    @property
    def adapts(self) -> bool:
        """Whether it changes between epochs."""
        return self.kind in ("matched", "balanced")

    def bounds(self, step: Tensor, dtype: torch.dtype) -> Bounds:
        """At sampler steps `(B,)`, on their device."""
        lower, upper = self.clip_range * self.lower, self.clip_range * self.upper
        if self.share is None:
            return Bounds.symmetric(upper) if lower == upper else Bounds(lower, upper)
        share = self.share.to(step.device)[step]
        above = (share * upper).to(dtype)
        return Bounds(above if lower == upper else (share * lower).to(dtype), above)

    def observe(self, terms: Mapping[str, Tensor]) -> None:
        """Remember an update's `log_ratio`, `sign` and `step`, of equal shape, of all processes.

        On the CPU. `matched` also needs `sampler_log_ratio`.
        """
        if self.adapts:
            kept = ["log_ratio", "sign", "step"]
            kept += ["sampler_log_ratio"] if self.kind == "matched" else []
            self._seen.append({key: terms[key].flatten().double() for key in kept})

    def end_epoch(self) -> None:
        """Set the factors for the next epoch from the updates that were observed."""
        if not self._seen:
            return
        seen = {key: torch.cat([update[key] for update in self._seen]) for key in self._seen[0]}
        self._seen = []
        unit = self._in_ranges(seen["log_ratio"], seen["step"])
        if self.kind == "matched":
            # The baseline's range is the same at every step: no share.
            target = float((seen["sampler_log_ratio"].abs() > self.clip_range).double().mean())
            self.lower = self.upper = _above(unit.abs(), target, self.upper)
        else:
            target = float((seen["sign"] * unit > 1).double().mean())
            self.upper = _above(unit[seen["sign"] > 0], target, self.upper)
            self.lower = _above(-unit[seen["sign"] < 0], target, self.lower)

    def _in_ranges(self, log_ratio: Tensor, step: Tensor) -> Tensor:
        share = 1.0 if self.share is None else self.share[step.long()]
        return log_ratio / (self.clip_range * share)

    # --- for the resume state -----------------------------------------------------------------

    def state(self) -> dict[str, float]:
        return {"lower": self.lower, "upper": self.upper}

    def restore(self, state: Mapping[str, float]) -> None:
        """A state of an older version has no factors, and its clip range was fixed."""
        self.lower = float(state.get("lower", self.lower))
        self.upper = float(state.get("upper", self.upper))


def _above(values: Tensor, share: float, otherwise: float) -> float:
    """The positive number that a share of `values` lies above; `otherwise` if there is none.

    There is none without values, and where no term is to be clipped or the number is not positive.
    """
    count = round(share * len(values))
    if not 0 < count < len(values):
        return otherwise
    # Between the last value above it and the first below.
    ordered = values.sort(descending=True).values
    bound = float((ordered[count - 1] + ordered[count]) / 2)
    return bound if bound > 0 else otherwise
