"""Add an archive's runs to results/, so that more seeds or experiments can be run.

    python -m pcpo unpack studies/small-2.zip

Only of an archive without measured images. docs/run.md has the steps before and after it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pcpo.cli.console import run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("archive", type=Path, help="made by the target `archive`")
    args = parser.parse_args()

    from pcpo.archive.bundle import open_archive
    from pcpo.archive.continued import add

    results = Path("results")
    opened = open_archive(args.archive, results / "bundles")
    added = add(opened, results)
    seeds = ", ".join(map(str, opened.seeds))
    print(f"{len(added)} files below {results / opened.scale}: seeds {seeds}")


if __name__ == "__main__":
    run(main)
