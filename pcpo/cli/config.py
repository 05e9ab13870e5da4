"""Print every value of an experiment, an arm or a scale, with the file and line it comes from.

    python -m pcpo config 7 --scale pilot              configuration 7
    python -m pcpo config 7 --scale pilot --arm pcpo   and what an arm changes of it
    python -m pcpo config --scale pilot                the scale: models, prompts, rewards, features
    python -m pcpo config 7 | grep learning_rate

A line has the key, the value, the place, and the values that it replaced with their places. What a
scale changes in experiments is listed with each experiment.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pcpo.cli.console import run
from pcpo.config.arms import resolve_arm
from pcpo.config.files import ConfigError, Origin
from pcpo.config.origins import Setting, settings
from pcpo.config.resolve import resolve_experiment
from pcpo.config.scale import resolve_scale

WIDEST = 40  # characters; a longer value pushes its own line's place to the right


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("experiment", nargs="?", help="number or name; the scale without it")
    parser.add_argument("--scale", default="paper", help="of config/scale/; paper without it")
    parser.add_argument("--arm", help="an arm of config/arms.yaml")
    parser.add_argument("--json", action="store_true", help="for programs")
    args = parser.parse_args()

    found = _settings(args.experiment, args.scale, args.arm)
    print(json.dumps([_record(s) for s in found], indent=1) if args.json else table(found))


def _settings(experiment: str | None, scale: str, arm: str | None) -> list[Setting]:
    if experiment is None and arm is None:
        return settings(*resolve_scale(scale), leave_out=("sizes",))
    found = []
    if experiment is not None:
        resolved, keys = resolve_experiment(experiment, scale)
        found = settings(resolved, keys)
        if arm is not None and arm not in resolved.arms:
            raise ConfigError(
                f"{resolved.name}: arm '{arm}' is not trained at scale {scale}; its arms: "
                f"{', '.join(resolved.arms)}"
            )
    if arm is not None:
        found += [s._replace(key=f"arm.{s.key}") for s in settings(*resolve_arm(arm))]
    return found


def table(found: Sequence[Setting]) -> str:
    """One line a value, in columns."""
    keys = max(len(s.key) for s in found)
    values = min(WIDEST, max(len(_text(s.value)) for s in found))
    lines = []
    for s in found:
        was = "; ".join(f"{_text(old.value)} in {_place(old)}" for old in s.replaced)
        line = f"{s.key:{keys}}  {_text(s.value):{values}}  {_place(s.origin)}"
        lines.append(f"{line}  (was {was})" if was else line)
    return "\n".join(lines)


def _record(setting: Setting) -> dict[str, Any]:
    def place(origin: Origin) -> dict[str, Any]:
        return {"file": _short(origin.file), "line": origin.line}

    return {
        "key": setting.key,
        "value": setting.value,
        **place(setting.origin),
        "was": [{"value": old.value, **place(old)} for old in setting.replaced],
    }


def _text(value: Any) -> str:
    """A value as JSON, texts without quotation marks, on one line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else ascii(text)


def _place(origin: Origin) -> str:
    """As in config/defaults.yaml:12."""
    return _short(origin.file) + (f":{origin.line}" if origin.line else "")


def _short(file: str) -> str:
    """Relative to the current folder where it is below it."""
    path, here = Path(file), Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else file


if __name__ == "__main__":
    run(main)
