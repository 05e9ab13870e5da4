"""Trained runs that are of older code than what is here: list them, accept them or redo them."""

from __future__ import annotations

import argparse
from pathlib import Path

from pcpo.cli.console import run
from pcpo.paths import Paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="*", type=Path, help="folders of runs; all without any")
    parser.add_argument("--scale", default="demo", help="of config/scale/; demo without it")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--accept", action="store_true", help="count them as of this code")
    choice.add_argument("--redo", action="store_true", help="set them aside, to be trained again")
    args = parser.parse_args()

    from pcpo.config import load_scale
    from pcpo.training.trained_code import accept, older_runs, redo

    load_scale(args.scale)  # raises an error for an unknown scale
    runs = Path(Paths(args.scale).root) / "runs"
    older = older_runs(runs)
    for path in args.runs:
        if not path.resolve().is_relative_to(runs.resolve()):
            raise ValueError(f"{path}: no run of scale {args.scale} is there; give its --scale")
        if not (path / "checkpoints.csv").exists():
            raise ValueError(f"{path}: no complete run is here (it has no checkpoints.csv)")
    if args.runs:
        wanted = {path.resolve() for path in args.runs}
        older = [one for one in older if one.folder.resolve() in wanted]
    for one in older:
        done = ""
        if one.problem:
            print(f"not known of {one.folder}: {one.problem}")
            continue
        if args.accept:
            accept(one.folder)
            done = "accepted: "
        elif args.redo:
            kept = redo(one.folder)
            done = f"set aside in {kept}: "
        print(f"{done}{one.folder}: {', '.join(one.changed)}")
    if not older:
        print("every trained run is of the code that is here")


if __name__ == "__main__":
    run(main)
