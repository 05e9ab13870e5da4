"""How many training seeds decide a claim: the verdict's rule on simulated studies.

    python -m pcpo.cli.power --seeds 4 8 12 --sd speedup=15 --sd area=0.044 --effect area=0.095

Without `--sd` of an outcome its standard deviation is that of a pilot's paired differences, from
--validation and --per-prompt FILES of at least two seeds. Areas are in the unit of the reward: give
the files of configurations with one reward, or there is no standard deviation of the area.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pcpo.stats.power import rates


class Outcome(NamedTuple):
    """A primary outcome, in the unit of its `--effect`, `--sd` and `--margin`.

    `logs`: the unit is the percent by which a ratio exceeds 1, tested as its logarithm.
    """

    name: str
    what: str
    effect: float | None  # the paper's, where it prints one
    logs: bool


OUTCOMES = (
    Outcome("speedup", "epochs to a validation reward, speed-up in %", 24.6, True),
    Outcome("area", "area under the validation curve", None, False),
    Outcome("quality", "quality at matched reward, % of the baseline's FID", -24.4, False),
)
# speedup: the smallest of Table 1. quality: the coefficient -7.750 of Table 3 over the baseline's
# 31.72 of Table 2(a): a choice, because the coefficient is of a prompt's FID, of which the
# paper prints no mean.


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[4, 8, 12], metavar="N")
    for option, what in (
        ("sd", "standard deviation of the difference of two arms over seeds"),
        ("effect", "its mean; by default the paper's"),
        ("margin", "largest effect that counts as none; by default half of the effect"),
    ):
        parser.add_argument(f"--{option}", action="append", default=[], metavar="OUTCOME=X",
                            help=what)  # fmt: skip
    parser.add_argument("--scale", help="of the pilot's files")
    parser.add_argument("--validation", nargs="*", default=[], metavar="FILE")
    parser.add_argument("--per-prompt", nargs="*", default=[], metavar="FILE")
    parser.add_argument("--arm", default="pcpo", help="of the pilot, against the baseline")
    arguments = parser.parse_args(argv)

    if min(arguments.seeds) < 2:
        raise ValueError(f"--seeds {arguments.seeds}: a verdict needs at least two")
    sds = _pilot(arguments) | _values("sd", arguments.sd)
    effects = _values("effect", arguments.effect)
    margins = _values("margin", arguments.margin)
    print("Share of studies that decide: a claim of the effect's direction holds (or fails), and a")
    print("claim of no effect holds where there is none.")
    for outcome in OUTCOMES:
        print(f"\n{outcome.name}: {outcome.what}")
        for line in _table(outcome, sds, effects, margins, arguments.seeds):
            print(f"  {line}")


def _table(
    outcome: Outcome,
    sds: dict[str, float],
    effects: dict[str, float],
    margins: dict[str, float],
    seeds: Sequence[int],
) -> list[str]:
    name = outcome.name
    sd, effect = sds.get(name), effects.get(name, outcome.effect)
    if sd is None or effect is None:
        lacking = " and ".join(w for w, v in (("--sd", sd), ("--effect", effect)) if v is None)
        measured = "" if sd is None else f"sd {sd:.3g}; "
        return [f"{measured}no {lacking} {name}=... given"]
    margin = margins.get(name, abs(effect) / 2)
    lines = [f"sd {sd:.3g}, effect {effect:.3g}, margin {margin:.3g}"]
    mean, spread, bounds = effect, sd, (-margin, margin)
    if outcome.logs:
        mean, spread = math.log1p(effect / 100), math.log1p(sd / 100)
        bounds = (-math.log1p(margin / 100), math.log1p(margin / 100))
    claimed = (0.0, math.inf) if effect > 0 else (-math.inf, 0.0)
    lines.append("seeds  holds  fails  no effect holds")
    for runs in seeds:
        holds, fails = rates(mean, spread, runs, *claimed)
        none = rates(0.0, spread, runs, *bounds).holds
        lines.append(f"{runs:5d}  {holds:5.2f}  {fails:5.2f}  {none:15.2f}")
    return lines


def _values(option: str, given: Sequence[str]) -> dict[str, float]:
    known = [outcome.name for outcome in OUTCOMES]
    found = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator or name not in known:
            raise ValueError(f"--{option} {text}: expected OUTCOME=X, one of {', '.join(known)}")
        try:
            found[name] = float(value)
        except ValueError as error:
            raise ValueError(f"--{option} {text}: '{value}' is no number") from error
    return found


def _pilot(arguments: argparse.Namespace) -> dict[str, float]:
    """Standard deviations of the paired differences, pooled over the pilot's experiments."""
    if not arguments.validation and not arguments.per_prompt:
        return {}
    if not arguments.scale:
        raise ValueError("--scale: the scale of the pilot's files is missing")
    from pcpo.analysis import pilot
    from pcpo.config import load_experiments
    from pcpo.records import frame_file, frames

    rewards = {e.name: e.reward.name for e in load_experiments(arguments.scale)}
    known = [*rewards]
    found: dict[str, list[np.ndarray]] = {}
    if arguments.validation:
        read = frame_file.read(arguments.validation, frames.VALIDATION, arguments.scale, known)
        found |= pilot.of_validation(read, arguments.arm)
        if len({rewards[name] for name in read["experiment"].unique()}) > 1:
            del found["area"]  # the unit differs
    if arguments.per_prompt:
        spec = frames.METRICS_PER_PROMPT
        read = frame_file.read(arguments.per_prompt, spec, arguments.scale, known)
        found |= pilot.of_quality(read, arguments.arm)
    sds = {name: sd for name, each in found.items() if (sd := pilot.pooled_sd(each)) is not None}
    logs = {outcome.name for outcome in OUTCOMES if outcome.logs}
    return {name: 100 * math.expm1(sd) if name in logs else sd for name, sd in sds.items()}


if __name__ == "__main__":
    from pcpo.cli.console import run

    run(main, printing=True)
