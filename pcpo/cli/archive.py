"""Rule `archive`: all of a finished run that is small -> one zip, from which tables are redrawn."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pcpo.archive.bundle import digests, write
from pcpo.archive.contents import contents, left_out
from pcpo.archive.crate import METADATA, crate
from pcpo.archive.pictures import Row
from pcpo.archive.steps import Step, read_steps
from pcpo.cli.console import Log, uses
from pcpo.paths import Paths


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiments", nargs="+", help="names that the run has")
    parser.add_argument("--scale", required=True, help="of config/scale/")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0], help="of the training runs; 0 without it"
    )
    parser.add_argument(
        "--grid", nargs="+", action="append", default=[], metavar="WORD",
        help="a sample grid and its rows, FIGURE ARM=FOLDER ...; once per figure",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, metavar="archive.zip")
    parser.add_argument("--log", type=Path, help="file for plain lines; stdout without it")
    arguments = parser.parse_args(argv)
    log = Log(arguments.log)

    from pcpo.config import load_experiment

    experiments = [load_experiment(name, arguments.scale) for name in arguments.experiments]
    grids = {figure: [_row(word) for word in rows] for figure, *rows in arguments.grid}
    uses(read=[f for rows in grids.values() for _, f in rows], wrote=[arguments.out])
    paths = Paths(arguments.scale)
    found = contents(paths, experiments, arguments.seeds, grids)
    sums = digests(found)
    records = [name for name in found if name.startswith(f"{paths.root}/provenance/")]
    steps = read_steps(records, Path(), log)
    sizes = {n: len(s) if isinstance(s, bytes) else s.stat().st_size for n, s in found.items()}
    title = f"pcpo, scale {arguments.scale}, {len(experiments)} configurations"
    found[METADATA] = crate(title, sums, sizes, steps, _day(found, steps))
    write(arguments.out, found, sums | digests({METADATA: found[METADATA]}))
    if left := left_out(found):
        log(f"left out, as git does not track them: {', '.join(left)}")
    log(
        f"{arguments.out}: {len(found)} files, {len(steps)} recorded steps, "
        f"{arguments.out.stat().st_size / 1e6:.1f} MB"
    )


def _row(word: str) -> Row:
    arm, separator, folder = word.partition("=")
    if not separator:
        raise ValueError(f"--grid: {word}: expected ARM=FOLDER")
    return arm, Path(folder)


def _day(found: Mapping[str, Path | bytes], steps: Sequence[Step]) -> str:
    """The day on which the run ended: not that of archiving, so that archives stay the same."""
    if steps:
        return max(step.end for step in steps)[:10]
    newest = max(s.stat().st_mtime for n, s in found.items() if isinstance(s, Path) and "/" in n)
    return datetime.fromtimestamp(newest, UTC).strftime("%Y-%m-%d")


if __name__ == "__main__":
    from pcpo.cli.console import run

    run(main)
