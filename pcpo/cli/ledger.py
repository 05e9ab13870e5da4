"""Print a ledger of claims as one table for a page: a row per sentence."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ledger", type=Path, metavar="claims.csv", help="as the rule `claims` made")
    parser.add_argument("--primary", action="store_true", help="only the primary outcomes")
    arguments = parser.parse_args(argv)

    from pcpo.report.ledger import read_ledger
    from pcpo.report.ledger_table import to_table

    claims = read_ledger(arguments.ledger)
    print(to_table(c for c in claims if c.primary or not arguments.primary), end="")


if __name__ == "__main__":
    from pcpo.cli.console import run

    run(main, printing=True)
