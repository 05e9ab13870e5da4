"""Prints the bytes that a process has resident once a training's libraries are imported."""

from __future__ import annotations

import importlib
from pathlib import Path

import pcpo.cli.console  # noqa: F401  (threads, before torch is imported)

# isort: split
MODULES = (
    *("pandas", "pcpo.cli.evaluation", "pcpo.training.loop", "pcpo.records.frame_file"),
    *("pcpo.policies.stable_diffusion", "pcpo.policies.stable_diffusion_3"),
    *("pcpo.rewards.aesthetic", "pcpo.rewards.pickscore", "pcpo.rewards._rapid_ocr"),
)


def resident() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return 1024 * int(line.split()[1])


if __name__ == "__main__":
    for name in MODULES:
        importlib.import_module(name)
    print(resident())
