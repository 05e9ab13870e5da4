"""Numbers for reading."""

from __future__ import annotations

import math


def measure(value: float) -> str:
    """Four significant digits, a true minus, "–" for NaN and "∞" for infinity."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return text.replace("-", "−")


def duration(seconds: float) -> str:
    """2 h 05 min, 3 min 20 s, 12.3 s."""
    if math.isnan(seconds):
        return "not measured"
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes:02d} min"
