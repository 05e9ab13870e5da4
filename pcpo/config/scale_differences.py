"""What a scale changes in an experiment, in words: the line below every table of that scale."""

from __future__ import annotations

from typing import Any

from pcpo.config.resolve import load_experiment
from pcpo.config.scale import load_scale
from pcpo.config.variant import variants

# These keys are about the machine and the scale's name, not about the method.
_LEFT_OUT = ("scale", "execution")
_NAMES = ("name", "number", "description")
PAPER = "paper"


def scale_differences(experiment: int | str, scale: str) -> list[str]:
    """Every difference from the paper's scale, as "epochs 300 -> 16", in the order of the keys.

    A variant that the paper's scale lacks is compared with the experiment that it starts from.
    Empty at the paper's scale, and where synthetic data replace the paper's models: there
    everything differs, and the scale's note says so. Raises ConfigError like `load_experiment`.
    """
    if scale == PAPER or load_scale(scale).synthetic:
        return []
    ours = load_experiment(experiment, scale)
    start, left_out = ours.name, {*_LEFT_OUT}
    variant = variants().get(ours.name)
    if variant is not None and PAPER not in variant.scales:
        start, left_out = variant.of, left_out | {*_NAMES}
    published = load_experiment(start, PAPER)
    before, after = (e.model_dump(mode="json", exclude=left_out) for e in (published, ours))
    return _differences(before, after)


def _differences(published: dict[str, Any], ours: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key in [*published, *(key for key in ours if key not in published)]:
        old, new = published.get(key), ours.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            found.append(f"{prefix}{key} {_text(old)} -> {_text(new)}")
    return found


def _text(value: Any) -> str:
    """A value as text for a reader: 16, 0.0003, none, [0.3, 0.9], rank 4 alpha 4."""
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_text(item) for item in value)}]"
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    return str(value)
