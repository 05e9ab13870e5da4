"""The published noise schedules of the real models, without the models.

Sources: `scheduler/scheduler_config.json` of the repositories in pcpo/cost/architectures.py.
"""

from __future__ import annotations

from typing import Any

_SD1: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
# Arguments of each model's scheduler class.
SCHEDULERS: dict[str, dict[str, Any]] = {
    "sd14": _SD1,
    "sd15": _SD1,
    "sd35m": {"shift": 3.0},
    "flux": {"shift": 3.0, "use_dynamic_shifting": True},
}
