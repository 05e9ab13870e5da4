"""Print the files of an unfinished run with which another machine goes on.

    python -m pcpo carry --scale study | tar -cf study.tar -T -     there: tar -xf study.tar

Trainings that are complete are not trained again there. docs/run.md says what is left out.
"""

from __future__ import annotations

import argparse
import sys

from pcpo.archive.carried import carried
from pcpo.cli.console import run
from pcpo.config import load_experiments
from pcpo.paths import Paths


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--scale", default="demo", help="of config/scale/; demo without it")
    parser.add_argument("--first-seed", type=int, default=0, help="of which figures show images")
    arguments = parser.parse_args()
    experiments = load_experiments(arguments.scale)
    files = carried(Paths(arguments.scale), experiments, arguments.first_seed)
    for file in files:
        print(file.as_posix())
    size = sum(file.stat().st_size for file in files if file.exists())
    print(f"{len(files)} files, {size / 1e6:.1f} MB", file=sys.stderr)


if __name__ == "__main__":
    run(main)
