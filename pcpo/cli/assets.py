"""Real weights and prompt sets: check before downloading, download, make prompt files.

python -m pcpo.cli.assets preflight --assets models/sd15 rewards/aesthetic
python -m pcpo.cli.assets fetch models/sd15
python -m pcpo.cli.assets prompts animal coco
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pcpo.cli.console import Log, run, uses
from pcpo.records.replace import write_text


def main() -> None:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--root", type=Path, default=Path("data"), help="folder of all assets")
    common.add_argument("--log", type=Path, help="file for plain lines; stdout without it")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    look = commands.add_parser(
        "preflight", parents=[common], help="what prevents a download, if anything"
    )
    look.add_argument("--assets", nargs="*", help="of config/assets.csv; all without it")
    look.add_argument("--out", type=Path, help="file for the report")
    get = commands.add_parser("fetch", parents=[common], help="download and check")
    get.add_argument("assets", nargs="+", help="of config/assets.csv")
    sets = commands.add_parser("prompts", parents=[common], help="write <root>/prompts/<set>.txt")
    sets.add_argument("sets", nargs="+")
    args = parser.parse_args()

    from pcpo import assets
    from pcpo.prompts import sets as prompt_sets

    log = Log(args.log)
    if args.command == "preflight":
        names = assets.read_assets() if args.assets is None else args.assets
        report = assets.preflight(names, args.root)
        log(
            f"{len(report['files'])} files, {report['gigabytes']} GB to download; "
            f"{report['free_gigabytes']} GB free; nothing in the way"
        )
        uses(wrote=[args.out])
        if args.out:
            write_text(args.out, json.dumps(report, indent=1) + "\n")
    elif args.command == "fetch":
        for name in args.assets:
            assets.fetch(name, args.root, log)
    else:
        for name in args.sets:
            log(f"{prompt_sets.build(name, args.root)} written")


if __name__ == "__main__":
    run(main)
