"""Rule `study_answers`: people's answers and the key of the pairs -> a frame and its analysis."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pcpo.cli.console import uses


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answers", type=Path, required=True, metavar="FILE")
    parser.add_argument("--keys", type=Path, required=True, help="folder of keys, or a key")
    parser.add_argument("--scale", required=True, help="of config/scale/")
    parser.add_argument("--frame", type=Path, required=True, metavar="FILE", help="to write")
    parser.add_argument("--analysis", type=Path, required=True, metavar="FILE", help="to write")
    arguments = parser.parse_args(argv)
    uses(read=[arguments.answers, arguments.keys], wrote=[arguments.frame, arguments.analysis])

    from pcpo.preference.frame import read_study
    from pcpo.preference.summary import to_markdown
    from pcpo.records import frame_file, frames
    from pcpo.records.replace import write_text

    study = read_study(arguments.answers, arguments.keys)
    if not study.people:
        raise ValueError(
            f"{arguments.answers}: these are answers of simulated raters, which never count as "
            "people; look at them with `python -m pcpo.cli.preference analyse`"
        )
    if study.key.scale != arguments.scale:
        raise ValueError(
            f"{arguments.answers}: the pairs are of scale '{study.key.scale}', where "
            f"'{arguments.scale}' is needed"
        )
    write_text(arguments.analysis, to_markdown(study))
    frame_file.write(study.frame, frames.PREFERENCE, arguments.frame, arguments.scale)
    print(f"{len(study.frame)} answers of {study.frame['rater'].nunique()} raters")


if __name__ == "__main__":
    from pcpo.cli.console import run

    run(main, printing=True)
