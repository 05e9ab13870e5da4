"""Rule `table`: tidy frames -> one of the paper's tables as .csv, .md, .tex and .json."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pcpo.cli.console import sampler_option, uses
from pcpo.config import files
from pcpo.records import frame_file, frames
from pcpo.tables import TABLES


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=list(TABLES))
    parser.add_argument("--scale", required=True, help="of config/scale/")
    for frame in frames.BY_NAME:
        parser.add_argument(f"--{frame.replace('_', '-')}", nargs="*", default=[], metavar="FILE")
    parser.add_argument(
        "--published", default=files.CONFIG / "paper", help="folder of the paper's tables"
    )
    parser.add_argument("--out", required=True, help="path without suffix")
    sampler_option(parser)
    arguments = parser.parse_args(argv)
    read = [file for frame in frames.BY_NAME for file in getattr(arguments, frame)]
    uses(read=read, wrote=[arguments.out])

    from pcpo.config import load_experiments, load_scale
    from pcpo.config.scale_differences import scale_differences
    from pcpo.config.settings import evaluated_by
    from pcpo.tables.build import build
    from pcpo.tables.published import read_published

    record = TABLES[arguments.name]
    experiments = load_experiments(arguments.scale)
    shown = [e.name for e in experiments if e.number in record.experiments]
    given = {}
    for need in record.needs:
        if need == "published":
            given[need] = read_published(Path(arguments.published), arguments.name)
        else:
            files_of_need, spec = getattr(arguments, need), frames.BY_NAME[need]
            given[need] = frame_file.read(files_of_need, spec, arguments.scale, shown)
    scale = evaluated_by(load_scale(arguments.scale), arguments.evaluation_sampler)
    differences = {e.number: scale_differences(e.name, arguments.scale) for e in experiments}
    build(arguments.name, experiments, given, scale.note, differences).write(arguments.out)


if __name__ == "__main__":
    from pcpo.cli.console import run

    run(main, printing=True)
