"""Each reading of PCPO's credit on the paper's own samplers (Figure 2, Sec. 2.2, 2.3).

At every scale: DDIM with 50 steps on SD1.5's noise schedule, DanceGRPO's SDE with 16 steps,
Flow-GRPO's with 10. A reading is an arm of config/arms.yaml. Only the schedules are needed.
"""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

from pcpo.config import arm_names, load_arm
from pcpo.cost.schedulers import SCHEDULERS
from pcpo.credit import CreditSchedule, credit_schedule
from pcpo.samplers import Sampler
from pcpo.samplers.ddim import DDIM, ddim
from pcpo.samplers.flow_sde import dance_sde, flow_grpo_sde


def published_samplers() -> dict[str, tuple[Sampler, str, bool]]:
    """Name -> the sampler, its kind in arms, whether its last step is not trained."""
    return {
        "ddim_50": (ddim(SCHEDULERS["sd15"], 50), "ddim", False),
        "dance_16": (dance_sde(16, 3.0, 0.3), "dance_sde", True),
        "flow_10": (flow_grpo_sde(10, 3.0, 0.7), "flow_grpo_sde", True),
    }


def readings() -> pd.DataFrame:
    """Rows of `frames.READINGS`: on each sampler, the first arm with each credit schedule."""
    parts = []
    for name, (sampler, kind, skip_last) in published_samplers().items():
        drawn = set()
        for arm in map(load_arm, arm_names()):
            if (arm.credit, arm.over) in drawn or not arm.applies_to(kind):
                continue
            drawn.add((arm.credit, arm.over))
            schedule = credit_schedule(arm.credit, sampler, skip_last, arm.over)
            rows = schedule_rows(sampler, schedule)
            parts.append(rows.assign(sampler=name, reading=arm.name, target=schedule.target))
    return pd.concat(parts, ignore_index=True)


def schedule_rows(sampler: Sampler, schedule: CreditSchedule) -> pd.DataFrame:
    """A row per step: the columns that `frames.CREDIT` and `frames.READINGS` share.

    sampler: with its native sigmas.
    """
    run = sampler.with_sigma(schedule.sigmas)
    columns: dict[str, Tensor] = {
        "timestep": sampler.timesteps,
        "interval": sampler.intervals,
        "sigma": run.std,
        "native_sigma": sampler.std,
        "native_weight": sampler.weights,
        "weight": schedule.weights,
        "own_weight": run.weights * schedule.change,
        "sum_weight": _sum_weights(run),
        "trained": schedule.trained,
        "feasible": schedule.feasible,
    }
    frame = pd.DataFrame({key: value.numpy() for key, value in columns.items()})
    return frame.assign(step=range(len(sampler)))


def _sum_weights(sampler: Sampler) -> Tensor:
    """(c1 + c2) / sigma of DDIM, which the authors' variance makes constant; NaN for flow."""
    if not isinstance(sampler, DDIM):
        return torch.full_like(sampler.std, torch.nan)
    b = 1 - sampler.alpha_bar_prev
    c2 = torch.sqrt(b - sampler.sigma**2)
    return sampler.weights + 2 * c2 / sampler.sigma
