"""Rule `report`: what the other rules left in results/<scale> -> report.html, one file, offline."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pcpo.cli.console import sampler_option, uses
from pcpo.config import files
from pcpo.paths import Paths
from pcpo.records.replace import write_text


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiments", nargs="*", help="names that the run has; all without any")
    parser.add_argument("--scale", required=True, help="of config/scale/")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0], help="of the training runs; 0 without it"
    )
    parser.add_argument("--results", type=Path, help="folder to read; results/<scale> without it")
    parser.add_argument(
        "--published",
        type=Path,
        default=files.CONFIG / "paper",
        help="folder of the paper's tables",
    )
    parser.add_argument("--archive", default="", help="name of the file that RESULTS came from")
    parser.add_argument("--out", type=Path, required=True, metavar="report.html")
    sampler_option(parser)
    arguments = parser.parse_args(argv)
    results = arguments.results or Path(Paths(arguments.scale).root)
    uses(read=[results], wrote=[arguments.out])

    from pcpo.config import experiments_at
    from pcpo.report import collect, render

    page = collect(
        results,
        arguments.scale,
        arguments.experiments or experiments_at(arguments.scale),
        arguments.seeds,
        arguments.published,
        arguments.archive,
        arguments.evaluation_sampler,
    )
    write_text(arguments.out, render(page))
    made = sum(not table.missing for table in page.tables)
    print(
        f"{arguments.out}: {len(page.claims or [])} claims, {made} tables, "
        f"{len(page.drawn)} figures, {arguments.out.stat().st_size / 1e6:.1f} MB"
    )
    for piece in page.missing:
        print(f"  without {piece.title}: {piece.why}")


if __name__ == "__main__":
    from pcpo.cli.console import run

    run(main, printing=True)
