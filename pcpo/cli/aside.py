"""Runs that were set aside: list, restore or delete them, or set one aside."""

from __future__ import annotations

import argparse
from pathlib import Path

from pcpo.cli.console import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--restore", type=Path, metavar="FOLDER", help="put it back in its place")
    choice.add_argument("--delete", type=Path, nargs="+", metavar="FOLDER", help="for good")
    choice.add_argument("--put", type=Path, metavar="RUN", help="set it aside: it is trained again")
    args = parser.parse_args()

    from pcpo.training.set_aside import all_set_aside, commands, delete, put, restore

    if args.restore:
        print(f"{restore(args.restore)}: restored; the next start of its training resumes it")
    elif args.put:
        print(f"{args.put}: set aside; {commands(put(args.put))}")
    elif args.delete:
        for folder in args.delete:
            delete(folder)
            print(f"deleted: {folder}")
    else:
        for one in (found := all_set_aside()):
            print(f"{one.folder}: {one.bytes / 1e9:.3f} GB; {one.why}")
        if not found:
            print("no run is set aside")


if __name__ == "__main__":
    run(main)
