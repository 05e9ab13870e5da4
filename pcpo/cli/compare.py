"""Rule `compare_tables`: our tables (.csv) and the paper's -> compare.csv."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pcpo.cli.console import uses
from pcpo.config import files
from pcpo.records.replace import write_text


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", required=True, help="of config/scale/")
    parser.add_argument("--tables", nargs="*", default=[], metavar="FILE", help="table3.csv ...")
    parser.add_argument(
        "--published", default=files.CONFIG / "paper", help="folder of the paper's tables"
    )
    parser.add_argument("--out", required=True, metavar="compare.csv")
    arguments = parser.parse_args(argv)
    uses(read=arguments.tables, wrote=[arguments.out])

    import pandas as pd

    from pcpo.claims.cells import compare, summary

    ours = {}
    for path in map(Path, arguments.tables):
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such table; make it with pcpo.cli.table")
        ours[path.stem] = pd.read_csv(path)
    compared = compare(ours, arguments.published, arguments.scale)
    write_text(arguments.out, compared.to_csv(index=False))
    print(summary(compared).to_string())


if __name__ == "__main__":
    from pcpo.cli.console import run

    run(main, printing=True)
